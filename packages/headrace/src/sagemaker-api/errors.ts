import type { ApiResponse } from '../gateway/route.ts';

/** An error as SageMaker's APIs word it: the code is in the header and in the body, because clients look in either. */
export class SageMakerError extends Error {
  override readonly name = 'SageMakerError';
  readonly status: number;
  readonly code: string;
  /** Further members of the body. */
  readonly members: Readonly<Record<string, string | number>>;

  constructor(status: number, code: string, message: string, members: Readonly<Record<string, string | number>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.members = members;
  }

  toResponse(contentType = 'application/json'): ApiResponse {
    return {
      status: this.status,
      headers: { 'content-type': contentType, 'x-amzn-errortype': this.code },
      body: Buffer.from(
        JSON.stringify({ __type: this.code, Message: this.message, message: this.message, ...this.members }),
      ),
    };
  }
}

/** 400: the request itself is wrong, or names what is not there. */
export function validationError(message: string): SageMakerError {
  return new SageMakerError(400, 'ValidationError', message);
}

/**
 * 424: the model behind the endpoint refused the payload, worded as the built-in algorithms' container does, followed
 * by what exactly was wrong.
 */
export function modelError(detail: string, originalStatusCode = 400): SageMakerError {
  const original =
    originalStatusCode < 500 ? `unable to evaluate payload provided: ${detail}` : `unable to score: ${detail}`;
  const kind = originalStatusCode < 500 ? 'client' : 'server';
  return new SageMakerError(
    424,
    'ModelError',
    `Received ${kind} error (${originalStatusCode}) from model with message "${original}".`,
    { OriginalStatusCode: originalStatusCode, OriginalMessage: original, LogStreamArn: '' },
  );
}
