// The context object that handlers get as their second argument.
const environment = process.env;
const json = (text) => (text === undefined ? undefined : JSON.parse(Buffer.from(text, 'latin1').toString()));

function common(head) {
  const deadline = Number(head['lambda-runtime-deadline-ms']);
  return {
    functionName: environment.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: environment.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: environment.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: environment.AWS_LAMBDA_LOG_STREAM_NAME,
    awsRequestId: head['lambda-runtime-aws-request-id'],
    invokedFunctionArn: head['lambda-runtime-invoked-function-arn'],
    clientContext: json(head['lambda-runtime-client-context']),
    identity: json(head['lambda-runtime-cognito-identity']),
    tenantId: head['lambda-runtime-aws-tenant-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

/** Node 24 and newer. */
export function createContext(head) {
  const context = common(head);
  context.xRayTraceId = head['lambda-runtime-trace-id'];
  return context;
}

/** Node 22 and older: with the ways to end an invocation from before promises. */
export function createLegacyContext(head, completion) {
  const context = common(head);
  context.callbackWaitsForEmptyEventLoop = true;
  context.succeed = completion.succeed;
  context.fail = (error) => completion.fail(error ?? 'handled');
  context.done = (error, value) => {
    if (error !== undefined && error !== null) completion.fail(error);
    else completion.succeed(value);
  };
  return context;
}
