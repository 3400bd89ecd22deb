import { Producer } from '@platformatic/kafka';
import type { ProducedTimes } from './produced-times.ts';

/** A record of the demo's input, ready to be sent. */
export interface OutgoingRecord {
  readonly key: string;
  readonly value: string;
  /** The record's own time, ms since the epoch; Kafka keeps it as CREATE_TIME. */
  readonly timestamp: number;
  readonly partition: number;
}

export interface ProducerRunOptions {
  readonly bootstrapServers: readonly string[];
  readonly topic: string;
  readonly records: Iterable<OutgoingRecord>;
  /** Records a second; undefined: as fast as the broker takes them. */
  readonly rate: number | undefined;
  readonly times: ProducedTimes;
  readonly signal: AbortSignal;
  /** Called after each acknowledged request with the number of records in it. */
  readonly onProduced: (count: number) => void;
  /** The offsets that one request of records got, a partition each. */
  readonly onAcknowledged?: (records: readonly OutgoingRecord[], offsets: ReadonlyMap<number, number>) => void;
}

const largestRequest = 500;
const tickMilliseconds = 5;

/**
 * Sends the records in order over Kafka's protocol, each partition's in the order given: one request at a time, so that
 * the offsets follow from the base offset that the broker answers. Resolves to the number acknowledged; an abort ends
 * it after the request in flight.
 */
export async function produce(options: ProducerRunOptions): Promise<number> {
  const { topic, rate, times, signal } = options;
  const producer = new Producer<Buffer, Buffer, Buffer, Buffer>({
    clientId: 'headrace-demo',
    bootstrapBrokers: [...options.bootstrapServers],
  });
  const iterator = options.records[Symbol.iterator]();
  const start = performance.now();
  let produced = 0;
  try {
    for (;;) {
      if (signal.aborted) break;
      const due =
        rate === undefined ? largestRequest : Math.floor(((performance.now() - start) / 1000) * rate) - produced;
      if (due < 1) {
        await wait(tickMilliseconds, signal);
        continue;
      }
      const batch: OutgoingRecord[] = [];
      const limit = Math.min(due, largestRequest);
      while (batch.length < limit) {
        const next = iterator.next();
        if (next.done) break;
        batch.push(next.value);
      }
      if (batch.length === 0) break;
      const sentAt = performance.now();
      const result = await producer.send({
        acks: -1,
        messages: batch.map((record) => ({
          topic,
          partition: record.partition,
          key: Buffer.from(record.key),
          value: Buffer.from(record.value),
          timestamp: BigInt(record.timestamp),
        })),
      });
      const offsets = new Map<number, number>();
      for (const { partition, offset } of result.offsets ?? []) offsets.set(partition, Number(offset));
      times.add(batch, offsets, sentAt);
      options.onAcknowledged?.(batch, offsets);
      produced += batch.length;
      options.onProduced(batch.length);
    }
  } finally {
    await producer.close();
  }
  return produced;
}

function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done);
  });
}
