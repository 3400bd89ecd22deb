// A loop as people write it with @platformatic/kafka: a stream, build the event, POST it, commit.
import { Consumer, type Message, MessagesStreamModes } from '@platformatic/kafka';
import { Meter, readTask } from './contestant.ts';
import { eventOf } from './event.ts';
import { post } from './post.ts';

const task = readTask();
const consumer = new Consumer<Buffer, Buffer, Buffer, Buffer>({
  groupId: crypto.randomUUID(),
  clientId: 'loop',
  bootstrapBrokers: [task.bootstrapServers],
});
const meter = new Meter(task);
const stream = await consumer.consume({
  topics: [task.topic],
  mode: MessagesStreamModes.EARLIEST,
  autocommit: false,
  maxBytes: 1 << 20,
  maxWaitTime: 100,
});
let done = 0;
let batch: Message<Buffer, Buffer, Buffer, Buffer>[] = [];
for await (const message of stream) {
  batch.push(message);
  if (batch.length < task.batchSize && done + batch.length < task.records) continue;
  const event = eventOf(
    task.topic,
    batch.map(({ partition, offset, timestamp, key, value, headers }) => ({
      partition,
      offset,
      timestamp,
      key,
      value,
      headers: [...headers].map(([name, each]) => [name.toString(), each] as const),
    })),
  );
  await post(task.functionUrl, event);
  done += batch.length;
  // The last message of each partition carries the highest offset.
  const last = new Map(batch.map((each) => [each.partition, each]));
  const offsets = [...last.values()].map(({ topic, partition, offset }) => ({
    topic,
    partition,
    offset: offset + 1n,
    leaderEpoch: 0,
  }));
  if (done % (task.batchSize * 20) === 0) await consumer.commit({ offsets });
  batch = [];
  if (meter.done(done)) break;
}
