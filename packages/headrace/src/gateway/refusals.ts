import type { ApiResponse } from './route.ts';

/** Answers that the gateway gives before, or instead of, an API. */
function refusal(status: number, type: string, message: string): ApiResponse {
  return { status, headers: { 'x-amzn-errortype': type }, body: { __type: type, message } };
}

export const unknownOperation = (method: string, path: string): ApiResponse =>
  refusal(404, 'UnknownOperationException', `No API here has ${method} ${path}.`);

export const unknownService = (service: string): ApiResponse => {
  const variable = `AWS_ENDPOINT_URL_${service.toUpperCase().replace(/[^A-Z0-9]+/g, '_')}`;
  return refusal(
    404,
    'UnknownOperationException',
    `The service ${service} is not offered here: start the engine with ${variable} set to where it lives, or with --function-credentials for AWS itself.`,
  );
};

export const missingSignature = (): ApiResponse =>
  refusal(403, 'MissingAuthenticationTokenException', 'Missing Authentication Token');

export const unknownKey = (): ApiResponse =>
  refusal(403, 'UnrecognizedClientException', 'The security token included in the request is invalid.');

export const wrongSignature = (reason: 'expired' | 'mismatch' | 'payload'): ApiResponse =>
  refusal(
    403,
    'InvalidSignatureException',
    {
      expired: 'Signature expired: check the clock of the caller, or sign again.',
      mismatch:
        'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.',
      payload: 'The value of x-amz-content-sha256 is not the digest of the body.',
    }[reason],
  );

export const wrongService = (service: string, offered: readonly string[]): ApiResponse =>
  refusal(
    403,
    'InvalidSignatureException',
    `The request is signed for '${service}'; services here are ${offered.join(', ')}.`,
  );

export const foreignOrigin = (): ApiResponse =>
  refusal(403, 'AccessDeniedException', 'Requests of web pages from another origin are refused.');

export const foreignHost = (host: string): ApiResponse =>
  refusal(
    403,
    'AccessDeniedException',
    `The Host header ${JSON.stringify(host)} is not a name of this server: use localhost, or turn on signature checks (--credentials).`,
  );

export const bodyTooLarge = (limit: number): ApiResponse =>
  refusal(413, 'RequestEntityTooLargeException', `Request must be smaller than ${limit} bytes`);

export const malformed = (message: string): ApiResponse => refusal(400, 'ValidationException', message);

export const internalError = (): ApiResponse =>
  refusal(500, 'ServiceException', 'An internal error occurred. The log of the server has it under this request id.');
