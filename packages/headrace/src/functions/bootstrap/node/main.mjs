// The Node.js runtime: loads the handler, then takes one event after another from the Runtime API.
// Plain JavaScript, because Node does not strip types under node_modules. Only the standard library.
import { Channel } from './channel.mjs';
import { createContext, createLegacyContext } from './context.mjs';
import { errorType, serializeError, serializeErrorForLog } from './errors.mjs';
import { loadHandler } from './handler.mjs';
import { installConsole, logError } from './logging.mjs';
import { installResolution } from './resolution.mjs';
import { installStreaming, isStreaming, ResponseStream } from './streaming.mjs';

const launchAddress = process.argv[2];
process.argv.length = 1;
const environment = process.env;
const release = Number(/nodejs(\d+)/.exec(environment.AWS_EXECUTION_ENV ?? '')?.[1] ?? 24);
/** Up to Node 22 Lambda's runtime offered callbacks and waited for the event loop; from 24 on it only awaits. */
const legacy = release < 24;

const log = installConsole(environment);
installStreaming();
installResolution(environment);
// A wrapper that put itself between (a Runtime API proxy) changed the address: then it is the way to go.
const channel = new Channel(
  environment.AWS_LAMBDA_RUNTIME_API === launchAddress ? undefined : environment.AWS_LAMBDA_RUNTIME_API,
);

/** The invocation that runs: `{ id, done, asynchronous, callbackResult }`. */
let current;
let initializing = true;

process.on('uncaughtException', (error) => fatal(error, 'Uncaught Exception', 129));
process.on('unhandledRejection', (reason) => {
  const error = new Error(String(reason?.message ?? reason));
  error.name = 'Runtime.UnhandledPromiseRejection';
  error.reason = reason;
  if (reason?.stack) error.stack = reason.stack;
  error.message = String(reason);
  fatal(error, 'Unhandled Promise Rejection', 128);
});

/** Nothing of this process can be trusted any more: tells why and ends it. */
function fatal(error, what, status) {
  logError(log, what, error, serializeErrorForLog(error));
  const body = serializeError(error);
  const exit = () => process.exit(status);
  if (initializing) channel.initError(errorType(error), body, exit);
  else if (current !== undefined && !current.done) channel.error(current.id, errorType(error), body, exit);
  else exit();
}

// The loop is empty although an invocation runs: what that means depends on the kind of handler.
process.on('beforeExit', () => {
  const invocation = current;
  if (invocation === undefined || invocation.done || !legacy) return;
  if (invocation.callbackResult !== undefined) {
    succeed(invocation, invocation.callbackResult.value);
  } else if (invocation.asynchronous) {
    const error = new Error(
      'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes',
    );
    error.name = 'Runtime.NodeJsExit';
    error.stack = `${error.name}: ${error.message}`;
    fail(invocation, error);
  } else {
    succeed(invocation, null);
  }
});

function succeed(invocation, value) {
  if (invocation.done) return;
  let body;
  try {
    body = JSON.stringify(value);
  } catch (error) {
    const failure = new Error(legacy ? 'Unable to stringify response body' : String(error?.message ?? error));
    failure.name = legacy ? 'Error' : 'Runtime.JSONStringifyError';
    fail(invocation, failure);
    return;
  }
  invocation.done = true;
  finish(invocation);
  channel.respond(invocation.id, body === undefined ? 'null' : body);
}

function fail(invocation, error) {
  if (invocation.done) return;
  invocation.done = true;
  logError(log, 'Invoke Error', error, serializeErrorForLog(error));
  finish(invocation);
  channel.errorThenNext(invocation.id, errorType(error), serializeError(error));
}

/** The channel keeps the process alive again while it waits for the next event. */
function finish(invocation) {
  if (current === invocation) current = undefined;
  channel.ref();
}

function onEvent(head, body) {
  const invocation = {
    id: head['lambda-runtime-aws-request-id'],
    done: false,
    asynchronous: isAsync,
    callbackResult: undefined,
  };
  current = invocation;
  log.requestId = invocation.id;
  const trace = head['lambda-runtime-trace-id'];
  if (trace !== undefined) environment._X_AMZN_TRACE_ID = trace;
  else delete environment._X_AMZN_TRACE_ID;
  // Whether the function left work behind shows in the loop only when the channel does not keep it alive.
  channel.unref();
  let event;
  let context;
  try {
    event = JSON.parse(body);
    context = legacy ? createLegacyContext(head, completion(invocation)) : createContext(head);
  } catch (error) {
    fail(invocation, error);
    return;
  }
  if (streaming) void runStreaming(invocation, event, context);
  else if (legacy) runLegacy(invocation, event, context);
  else void runAwaiting(invocation, event, context);
}

/** What `context.succeed`, `fail` and `done` and the callback do. */
function completion(invocation) {
  return {
    succeed: (value) => succeed(invocation, value),
    fail: (error) => fail(invocation, error),
  };
}

function runLegacy(invocation, event, context) {
  const callback = (error, value) => {
    if (invocation.done || invocation.callbackResult !== undefined) return;
    if (error !== undefined && error !== null) fail(invocation, error);
    else if (context.callbackWaitsForEmptyEventLoop) invocation.callbackResult = { value };
    else succeed(invocation, value);
  };
  let result;
  try {
    result = handler(event, context, callback);
  } catch (error) {
    fail(invocation, error);
    return;
  }
  if (typeof result?.then !== 'function') return;
  result.then(
    (value) => succeed(invocation, value),
    (error) => fail(invocation, error ?? 'handled'),
  );
}

async function runAwaiting(invocation, event, context) {
  let value;
  try {
    value = await handler(event, context);
  } catch (error) {
    fail(invocation, error);
    return;
  }
  succeed(invocation, value);
}

async function runStreaming(invocation, event, context) {
  const stream = new ResponseStream(
    channel,
    invocation.id,
    handler[Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark')],
  );
  const failStream = (error) => {
    if (invocation.done) return;
    if (!stream.started) {
      fail(invocation, error);
      return;
    }
    invocation.done = true;
    logError(log, 'Invoke Error', error, serializeErrorForLog(error));
    finish(invocation);
    stream.abandon(errorType(error), serializeError(error));
    channel.next();
  };
  try {
    const result = handler(event, stream, context);
    if (typeof result?.then !== 'function') throw new Error('Streaming does not support non-async handlers.');
    const value = await result;
    if (value !== undefined) console.warn('Streaming handlers ignore return values.');
    if (!stream.writableEnded) throw new Error('Response stream is not finished.');
    await stream.finished;
  } catch (error) {
    failStream(error);
    return;
  }
  if (invocation.done) return;
  invocation.done = true;
  finish(invocation);
  channel.next();
}

const handler = await loadHandler(environment.LAMBDA_TASK_ROOT, environment._HANDLER, legacy).catch((error) => {
  fatal(error, 'Uncaught Exception', 129);
  // The process ends once the error is posted.
  return new Promise(() => {});
});
const streaming = isStreaming(handler);
const isAsync = handler.constructor.name === 'AsyncFunction';
if (!legacy && !streaming && handler.length >= 3) {
  const error = new Error(
    'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later.',
  );
  error.name = 'Runtime.CallbackHandlerDeprecated';
  fatal(error, 'Uncaught Exception', 129);
} else {
  // In AWS's words.
  if (
    legacy &&
    !streaming &&
    !isAsync &&
    handler.length === 3 &&
    environment.AWS_LAMBDA_NODEJS_DISABLE_CALLBACK_WARNING === undefined
  ) {
    console.warn(
      'AWS Lambda plans to remove support for callback-based function handlers starting with Node.js 24. You will need to update this function to use an async handler to use Node.js 24 or later. For more information and to provide feedback on this change, see https://github.com/aws/aws-lambda-nodejs-runtime-interface-client/issues/137. To disable this warning, set the AWS_LAMBDA_NODEJS_DISABLE_CALLBACK_WARNING environment variable.',
    );
  }
  initializing = false;
  channel.start(onEvent);
}
