// A loop as people write it with kafkajs: eachBatch, build the event, POST it, commit.
import { Kafka, logLevel } from 'kafkajs';
import { Meter, readTask } from './contestant.ts';
import { eventOf } from './event.ts';
import { post } from './post.ts';

const task = readTask();
const kafka = new Kafka({ brokers: [task.bootstrapServers], logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: crypto.randomUUID(), maxBytesPerPartition: 1 << 20 });
const meter = new Meter(task);
await consumer.connect();
await consumer.subscribe({ topic: task.topic, fromBeginning: true });
let done = 0;
await consumer.run({
  partitionsConsumedConcurrently: task.partitions,
  eachBatchAutoResolve: false,
  eachBatch: async ({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary }) => {
    const { messages } = batch;
    for (let from = 0; from < messages.length && done < task.records; from += task.batchSize) {
      const part = messages.slice(from, from + task.batchSize);
      const event = eventOf(
        batch.topic,
        part.map(({ offset, timestamp, key, value, headers }) => ({
          partition: batch.partition,
          offset,
          timestamp,
          key,
          value,
          headers: Object.entries(headers ?? {}).map(([name, each]) => [name, each as Buffer] as const),
        })),
      );
      await post(task.functionUrl, event);
      resolveOffset(part.at(-1)!.offset);
      done += part.length;
      if (meter.done(done)) return;
    }
    await heartbeat();
    await commitOffsetsIfNecessary();
  },
});
