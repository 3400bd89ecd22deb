/**
 * What a function answered under `ReportBatchItemFailures` (spec ESM 9.3). Kafka's item identifier is an object,
 * unlike that of every other event source: `{ "partition": "orders-0", "offset": 250 }`.
 */

export interface ItemIdentifier {
  /** Key of the event's `records`: `<topic>-<partition>`. */
  readonly partition: string;
  readonly offset: number;
}

export type PartialResponse =
  /** Everything succeeded. */
  | { readonly kind: 'none' }
  | { readonly kind: 'failures'; readonly items: readonly ItemIdentifier[] }
  /** The answer cannot be trusted: the whole batch failed. */
  | { readonly kind: 'malformed'; readonly message: string };

const none: PartialResponse = { kind: 'none' };

/** Reads the answer's JSON bytes. Total: anything that a function can post gives a value. */
export function readPartialResponse(payload: Uint8Array): PartialResponse {
  if (payload.length === 0) return none;
  let response: unknown;
  try {
    response = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8'));
  } catch {
    return malformed('the answer is not JSON');
  }
  // null, "", [], scalars and objects without the member say nothing about failures: success.
  if (typeof response !== 'object' || response === null || !('batchItemFailures' in response)) return none;
  const failures = response.batchItemFailures;
  if (failures === null || failures === undefined) return none;
  if (!Array.isArray(failures)) return malformed('batchItemFailures is not a list');
  if (failures.length === 0) return none;
  const items: ItemIdentifier[] = [];
  for (const failure of failures as unknown[]) {
    const identifier = isObject(failure) ? failure['itemIdentifier'] : undefined;
    if (!isObject(identifier)) return malformed('an itemIdentifier is not an object with partition and offset');
    const { partition, offset } = identifier;
    if (typeof partition !== 'string' || partition === '')
      return malformed('an itemIdentifier has no partition of the form "topic-0"');
    if (!Number.isSafeInteger(offset)) return malformed('an itemIdentifier has no whole number as offset');
    items.push({ partition, offset: offset as number });
  }
  return { kind: 'failures', items };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(message: string): PartialResponse {
  return { kind: 'malformed', message };
}
