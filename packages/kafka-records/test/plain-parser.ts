import { gunzipSync, zstdDecompressSync } from 'node:zlib';

export interface PlainRecord {
  readonly offset: bigint;
  readonly timestamp: bigint;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [string, string | null])[];
}

/**
 * The format as its description has it, in the slowest and plainest way, to judge the cursor by. Reads batches without
 * compression, with gzip and zstd; bytes are given as hex.
 */
export function parsePlainly(batch: Buffer): PlainRecord[] {
  const baseOffset = batch.readBigInt64BE(0);
  const attributes = batch.readInt16BE(21);
  const baseTimestamp = batch.readBigInt64BE(27);
  const maxTimestamp = batch.readBigInt64BE(35);
  const count = batch.readInt32BE(57);
  const rest = batch.subarray(61);
  const codec = attributes & 7;
  const records = codec === 0 ? rest : codec === 1 ? gunzipSync(rest) : zstdDecompressSync(rest);
  let position = 0;

  const varint = (): bigint => {
    let value = 0n;
    let shift = 0n;
    for (;;) {
      const byte = records[position++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return (value >> 1n) ^ -(value & 1n);
      shift += 7n;
    }
  };
  const bytes = (): string | null => {
    const length = Number(varint());
    if (length < 0) return null;
    position += length;
    return records.subarray(position - length, position).toString('hex');
  };

  return Array.from({ length: count }, () => {
    varint();
    position++;
    const timestamp = baseTimestamp + varint();
    const offset = baseOffset + varint();
    const key = bytes();
    const value = bytes();
    const headers = Array.from({ length: Number(varint()) }, () => [bytes()!, bytes()] as const);
    return { offset, timestamp: (attributes & 8) === 0 ? timestamp : maxTimestamp, key, value, headers };
  });
}
