// The documents that destinations get (spec ESM 10; AWS: kafka-on-failure.html). Members in the guide's order.
import type { FailedBatch } from '../mappings/destinations.ts';

interface EventRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key?: string | null;
  readonly headers?: readonly Readonly<Record<string, readonly number[]>>[];
}

interface KafkaEvent {
  readonly records: Readonly<Record<string, readonly EventRecord[]>>;
  readonly [member: string]: unknown;
}

/** What the guide's sample for Kafka topics calls the same condition (spec ESM 20, row 3). */
const topicConditions: Readonly<Record<string, string>> = { RetryAttemptsExhausted: 'RetriesExhausted' };

/** The last moment that a JavaScript date knows: producers may count nanoseconds, or write anything. */
const LAST_TIME = 8.64e15;

const isoTime = (milliseconds: number): string =>
  new Date(Math.max(-LAST_TIME, Math.min(LAST_TIME, milliseconds))).toISOString();

/** The document of SQS and SNS: what failed and where it lies, not the records themselves. */
export function batchDocument(batch: FailedBatch): Record<string, unknown> {
  const recordsInfo: Record<string, unknown> = {};
  for (const { name, records } of batch.partitions) {
    const first = records[0];
    const last = records.at(-1);
    if (first === undefined || last === undefined) continue;
    recordsInfo[name] = {
      firstRecordOffset: String(first.offset),
      lastRecordOffset: String(last.offset),
      firstRecordTimestamp: isoTime(first.timestamp),
      lastRecordTimestamp: isoTime(last.timestamp),
    };
  }
  return {
    ...contexts(batch, batch.mapping.functionArn, batch.condition),
    KafkaBatchInfo: { ...batchInfo(batch, batch.batchSize, batch.payload.length), recordsInfo },
  };
}

/** The S3 object: the same and the whole event, as an escaped string (the Kafka page; spec ESM 20, row 4). */
export function objectDocument(batch: FailedBatch): Record<string, unknown> {
  return { ...batchDocument(batch), payload: batch.payload.toString('utf8') };
}

/** `aws/lambda/<UUID>/<topic>-<partition>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<random UUID>` (spec ESM 10.2). */
export function objectKey(batch: FailedBatch, randomId: string): string {
  const time = isoTime(batch.timestamp);
  const day = time.slice(0, 10).replaceAll('-', '/');
  const name = batch.partitions[0]?.name ?? 'unknown';
  return `aws/lambda/${batch.mapping.uuid}/${name}/${day}/${time.slice(0, 19).replaceAll(':', '.')}-${randomId}`;
}

/** One message for a Kafka topic. */
export interface TopicMessage {
  readonly key: Buffer | null;
  readonly value: Buffer;
  readonly headers: readonly (readonly [Buffer, Buffer])[];
}

/** As that sample names the function: with its qualifier, also where the mapping names none. */
function qualified(functionArn: string): string {
  return functionArn.split(':').length === 7 ? `${functionArn}:$LATEST` : functionArn;
}

/** A message a record: the document with the record's own event as `payload`, under the record's key and headers. */
export function topicMessages(batch: FailedBatch): TopicMessage[] {
  const event = JSON.parse(batch.payload.toString('utf8')) as KafkaEvent;
  const condition = topicConditions[batch.condition] ?? batch.condition;
  return Object.entries(event.records).flatMap(([name, records]) => {
    const keys = new Map(
      batch.partitions.find((partition) => partition.name === name)?.records.map(({ offset, key }) => [offset, key]),
    );
    return records.map((record) => {
      const payload = { ...event, records: { [name]: [record] } };
      const document = {
        ...contexts(batch, qualified(batch.mapping.functionArn), condition),
        KafkaBatchInfo: {
          ...batchInfo(batch, 1, Buffer.byteLength(JSON.stringify(payload))),
          recordInfo: { offset: String(record.offset), timestamp: isoTime(record.timestamp) },
        },
        payload,
      };
      return {
        key: keys.get(record.offset) ?? null,
        value: Buffer.from(JSON.stringify(document)),
        headers: (record.headers ?? []).flatMap((header) =>
          Object.entries(header).map(
            ([key, bytes]) => [Buffer.from(key), Buffer.from(Int8Array.from(bytes).buffer)] as const,
          ),
        ),
      };
    });
  });
}

function contexts(batch: FailedBatch, functionArn: string, condition: string): Record<string, unknown> {
  return {
    requestContext: {
      requestId: batch.requestId,
      functionArn,
      condition,
      approximateInvokeCount: batch.approximateInvokeCount,
    },
    ...(batch.responseContext === undefined ? {} : { responseContext: batch.responseContext }),
    version: '1.0',
    timestamp: isoTime(batch.timestamp),
  };
}

function batchInfo(batch: FailedBatch, batchSize: number, payloadSize: number): Record<string, unknown> {
  return {
    batchSize,
    ...(batch.mapping.eventSourceArn === undefined ? {} : { eventSourceArn: batch.mapping.eventSourceArn }),
    bootstrapServers: batch.bootstrapServers.join(','),
    payloadSize,
  };
}
