/** The event as people make it by hand from a client's records. */
export interface PlainRecord {
  readonly partition: number;
  readonly offset: string | bigint | number;
  readonly timestamp: string | bigint | number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [string, Buffer])[];
}

export function eventOf(topic: string, records: readonly PlainRecord[]): string {
  const byPartition: Record<string, object[]> = {};
  for (const record of records) {
    const name = `${topic}-${record.partition}`;
    (byPartition[name] ??= []).push({
      topic,
      partition: record.partition,
      offset: Number(record.offset),
      timestamp: Number(record.timestamp),
      timestampType: 'CREATE_TIME',
      ...(record.key === null ? {} : { key: record.key.toString('base64') }),
      ...(record.value === null ? {} : { value: record.value.toString('base64') }),
      headers: record.headers.map(([name, value]) => ({ [name]: [...new Int8Array(value)] })),
    });
  }
  return JSON.stringify({ eventSource: 'SelfManagedKafka', bootstrapServers: 'localhost:9092', records: byPartition });
}
