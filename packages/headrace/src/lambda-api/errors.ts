import type { ApiResponse } from '../gateway/route.ts';

/**
 * Status of each exception, and how its body spells the message: the service is not consistent, and scripts read the
 * raw body. Sources: the API model, and answers recorded from the service.
 */
const exceptions = {
  AccessDeniedException: { status: 403, member: 'Message' },
  AliasLimitExceededException: { status: 400, member: 'message' },
  CodeSigningConfigNotFoundException: { status: 404, member: 'Message' },
  CodeStorageExceededException: { status: 400, member: 'message' },
  InvalidParameterValueException: { status: 400, member: 'message' },
  InvalidRequestContentException: { status: 400, member: 'message' },
  InvalidRuntimeException: { status: 502, member: 'Message' },
  InvalidZipFileException: { status: 502, member: 'Message' },
  NotImplementedException: { status: 501, member: 'message' },
  PreconditionFailedException: { status: 412, member: 'message' },
  ProvisionedConcurrencyConfigNotFoundException: { status: 404, member: 'message' },
  RequestEntityTooLargeException: { status: 413, member: 'Message' },
  ResourceConflictException: { status: 409, member: 'message' },
  ResourceInUseException: { status: 400, member: 'Message' },
  ResourceNotFoundException: { status: 404, member: 'Message' },
  ResourceNotReadyException: { status: 502, member: 'message' },
  SerializationException: { status: 400, member: 'message' },
  ServiceException: { status: 500, member: 'Message' },
  TooManyRequestsException: { status: 429, member: 'message' },
  UnknownOperationException: { status: 404, member: 'message' },
  UnsupportedMediaTypeException: { status: 415, member: 'message' },
  ValidationException: { status: 400, member: 'message' },
} as const;

export type ExceptionName = keyof typeof exceptions;

/** An answer of the API that is an error. `members` go into the body beside the message. */
export class LambdaError extends Error {
  readonly type: string;
  readonly status: number;
  readonly members: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    type: ExceptionName,
    message: string,
    options: { members?: Record<string, unknown>; headers?: Record<string, string>; withoutType?: boolean } = {},
  ) {
    super(message);
    this.name = 'LambdaError';
    this.type = type;
    const { status, member } = exceptions[type];
    this.status = status;
    const untyped = options.withoutType === true || type === 'ValidationException';
    const fault = status >= 500 ? 'Service' : 'User';
    this.members = { ...options.members, ...(untyped ? {} : { Type: fault }), [member]: message };
    this.headers = options.headers ?? {};
  }
}

export const invalidParameter = (message: string): LambdaError =>
  new LambdaError('InvalidParameterValueException', message);

export const notFound = (message: string): LambdaError => new LambdaError('ResourceNotFoundException', message);

export const conflict = (message: string): LambdaError => new LambdaError('ResourceConflictException', message);

/** `violations` as constraints.ts words them. */
export function validationError(violations: readonly string[]): LambdaError {
  const count = `${violations.length} validation error${violations.length === 1 ? '' : 's'}`;
  return new LambdaError('ValidationException', `${count} detected: ${violations.join('; ')}`);
}

export function errorResponse(error: LambdaError): ApiResponse {
  return {
    status: error.status,
    headers: { 'x-amzn-errortype': error.type, ...error.headers },
    body: error.members as object,
  };
}
