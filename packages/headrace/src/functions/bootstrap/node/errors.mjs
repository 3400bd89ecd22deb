// Error payloads as Lambda's Node runtime writes them: errorType, errorMessage, trace; in this order.
import { types } from 'node:util';

const isError = (value) =>
  types.isNativeError(value) ||
  (typeof value === 'object' &&
    value !== null &&
    typeof value.name === 'string' &&
    typeof value.message === 'string' &&
    typeof value.stack === 'string');

/** Control characters that break log lines and headers downstream. */
const clean = (text) => String(text).replaceAll('\x7f', '%7F');

export function errorType(error) {
  try {
    return isError(error) ? clean(error.name) : typeof error;
  } catch {
    return 'handled';
  }
}

export function serializeError(error) {
  try {
    if (isError(error)) {
      return JSON.stringify({
        errorType: clean(error.name),
        errorMessage: clean(error.message),
        trace: clean(error.stack ?? '').split('\n'),
      });
    }
    return JSON.stringify({ errorType: typeof error, errorMessage: String(error), trace: [] });
  } catch {
    return '{"errorType":"handled","errorMessage":"callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack","trace":[]}';
  }
}

/** For the log: with the error's own properties, which the payload leaves out. */
export function serializeErrorForLog(error) {
  try {
    if (!isError(error)) return { errorType: typeof error, errorMessage: String(error), stack: [] };
    return {
      errorType: error.name,
      errorMessage: error.message,
      ...Object.fromEntries(
        Object.entries(error).filter(([key]) => key !== 'name' && key !== 'message' && key !== 'stack'),
      ),
      stack: String(error.stack ?? '').split('\n'),
    };
  } catch {
    return { errorType: 'handled', errorMessage: 'the error cannot be read', stack: [] };
  }
}
