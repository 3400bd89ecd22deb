// One consumer of the comparison in a process of its own: reads `records` records of `topic` and prints what it cost.
// node client.ts NAME BOOTSTRAP_SERVERS TOPIC RECORDS
import { setTimeout as delay } from 'node:timers/promises';

const [name, bootstrapServers, topic, count] = process.argv.slice(2) as [string, string, string, string];
const wanted = Number(count);

/**
 * Called once all is loaded, before the first connection. V8 goes on compiling in other threads what loading used (the
 * type stripper above all), which is no client's work: that is waited for.
 */
let startCpu: NodeJS.CpuUsage;
let startTime: number;
const start = async (): Promise<void> => {
  await delay(1000);
  startCpu = process.cpuUsage();
  startTime = performance.now();
};

let seen = 0;
/** What is read of each record goes in here, so that nothing can be left out. */
let sum = 0;

function finish(): never {
  const { user, system } = process.cpuUsage(startCpu);
  const seconds = (performance.now() - startTime) / 1000;
  process.stdout.write(`${JSON.stringify({ records: seen, sum, seconds, cpuSeconds: (user + system) / 1e6 })}\n`);
  process.exit(0);
}

async function headrace(): Promise<void> {
  const { createKafkaCluster } = await import('../../packages/headrace/src/kafka/index.ts');
  const { RecordCursor } = await import('@headrace/kafka-records');
  await start();
  const cursor = new RecordCursor();
  const cluster = createKafkaCluster({ bootstrapServers: [bootstrapServers] });
  const reader = cluster.createReader(
    { topics: [topic], start: { kind: 'TRIM_HORIZON' } },
    {
      onAssigned: () => {},
      onStatus: (error) => {
        if (error !== undefined) console.error(error.message);
      },
      onSkipped: () => {},
      onRecords: () => {
        for (const partition of reader.partitions) {
          for (let chunk = partition.take(); chunk !== undefined; chunk = partition.take()) {
            for (cursor.reset(chunk); cursor.next(); ) {
              seen++;
              sum += cursor.offset + cursor.timestamp + (cursor.keyEnd - cursor.keyStart);
              sum += cursor.bytes[cursor.valueStart]! + (cursor.valueEnd - cursor.valueStart);
            }
            chunk.release();
          }
        }
        if (seen >= wanted) finish();
      },
    },
  );
  reader.start();
}

async function platformatic(): Promise<void> {
  const { Consumer } = await import('@platformatic/kafka');
  await start();
  const consumer = new Consumer({
    groupId: `bench-${process.pid}`,
    clientId: 'bench',
    bootstrapBrokers: [bootstrapServers],
  });
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false });
  stream.on('data', (message) => {
    seen++;
    sum += Number(message.offset) + Number(message.timestamp) + (message.key?.length ?? -1);
    sum += message.value![0]! + message.value!.length;
    if (seen >= wanted) finish();
  });
}

async function kafkajs(): Promise<void> {
  const { Kafka, logLevel } = (await import('kafkajs')).default;
  await start();
  const kafka = new Kafka({ brokers: [bootstrapServers], logLevel: logLevel.NOTHING });
  const consumer = kafka.consumer({ groupId: `bench-${process.pid}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      for (const message of batch.messages) {
        seen++;
        sum += Number(message.offset) + Number(message.timestamp) + (message.key?.length ?? -1);
        sum += message.value![0]! + message.value!.length;
      }
      if (seen >= wanted) finish();
    },
  });
}

const clients: Record<string, () => Promise<void>> = { headrace, platformatic, kafkajs };
await clients[name]!();
