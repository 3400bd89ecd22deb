import { SageMakerError } from './errors.ts';

// The control operations speak JSON 1.1, where codes differ from those of the runtime.

export function validationException(message: string): SageMakerError {
  return new SageMakerError(400, 'ValidationException', message);
}

export function resourceNotFound(message: string): SageMakerError {
  return new SageMakerError(400, 'ResourceNotFound', message);
}

export function resourceInUse(message: string): SageMakerError {
  return new SageMakerError(400, 'ResourceInUse', message);
}
