export type RecordsErrorCode =
  /** Bytes contradict themselves or the format: a length beyond the end, a checksum that differs. */
  | 'CORRUPT'
  /** Decompressed records would be larger than allowed. */
  | 'TOO_LARGE'
  /** A message format or compression codec that is not read. */
  | 'UNSUPPORTED';

/** Bytes that are no valid record batch. Whoever knows topic, partition and offset adds them. */
export class RecordsError extends Error {
  override readonly name = 'RecordsError';
  readonly code: RecordsErrorCode;

  constructor(code: RecordsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
