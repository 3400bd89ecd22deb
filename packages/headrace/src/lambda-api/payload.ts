import { isUtf8 } from 'node:buffer';
import { LambdaError } from './errors.ts';

/** Refuses an event that is not JSON text in UTF-8. The bytes themselves are handed on as they are. */
export function checkJson(payload: Buffer): void {
  const refuse = (reason: string): LambdaError =>
    new LambdaError(
      'InvalidRequestContentException',
      `Could not parse request body into json: Could not parse payload into json: ${reason}`,
    );
  if (!isUtf8(payload)) throw refuse('Invalid UTF-8');
  try {
    JSON.parse(payload.toString('utf8'));
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error));
  }
}
