import type { RandomCutForest } from '@headrace/random-cut-forest';
import { validationError } from './errors.ts';
import type { StreamingOptions } from './streaming-model.ts';

/** What answers behind an endpoint: it learns, or it is frozen. */
export type EndpointModel =
  | { readonly kind: 'streaming'; readonly options: StreamingOptions; readonly keyColumn: number | undefined }
  | { readonly kind: 'trained'; readonly forest: RandomCutForest; readonly featureDim: number };

/** An endpoint that can be invoked. */
export interface Endpoint {
  readonly name: string;
  readonly variant: string;
  readonly payloadCompat: 'lenient' | 'strict';
  readonly model: EndpointModel;
  /** Numbers in a row of a streaming endpoint that does not name it: fixed by the first. */
  featureDim: number | undefined;
}

export const NAME = /^[a-zA-Z0-9](-*[a-zA-Z0-9])*$/;

/** @throws SageMakerError `ValidationError` */
export function checkName(field: string, name: unknown, most = 63): asserts name is string {
  if (typeof name !== 'string' || name.length === 0 || name.length > most || !NAME.test(name)) {
    throw validationError(
      `1 validation error detected: Value ${JSON.stringify(name ?? null)} at '${field}' failed to satisfy constraint: ` +
        `Member must have 1 to ${most} characters and satisfy regular expression pattern: ${NAME.source}`,
    );
  }
}
