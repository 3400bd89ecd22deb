// One consumer of the comparison in a process of its own: reads a topic of RECORDS records, over and over, first until the
// process has worked for WARM seconds of CPU, then for MEASURED seconds more, and prints what these have cost.
// node client.ts NAME BOOTSTRAP_SERVERS TOPIC RECORDS WARM MEASURED

const [name, bootstrapServers, topic, ...numbers] = process.argv.slice(2) as [string, string, string, ...string[]];
const [records, warmSeconds, measuredSeconds] = numbers.map(Number) as [number, number, number];

/** Records between two looks at the clock. */
const LOOK_EVERY = 20_000;

let seen = 0;
/**
 * What is read of each record goes in here, so that nothing can be left out. By a local variable where a client hands out
 * many records at once: V8 makes an object of each number that a module's variable takes.
 */
let sum = 0;
let nextLook = LOOK_EVERY;
/** When the topic will have been read to its end once more. */
let nextEnd = records;
let isEnding = false;

interface Moment {
  readonly seen: number;
  readonly milliseconds: number;
  readonly cpuSeconds: number;
}

/** All the process's threads, loading of code included. */
function now(): Moment {
  const { user, system } = process.cpuUsage();
  return { seen, milliseconds: performance.now(), cpuSeconds: (user + system) / 1e6 };
}

let begin: Moment | undefined;

/** Called after some records (counted by `seen`); ends the process when all is measured. */
function look(): void {
  if (seen >= nextEnd && !isEnding) {
    isEnding = true;
    void again();
  }
  if (seen < nextLook) return;
  nextLook = seen + LOOK_EVERY;
  const at = now();
  if (begin === undefined) {
    if (at.cpuSeconds >= warmSeconds) begin = at;
    return;
  }
  if (at.cpuSeconds < begin.cpuSeconds + measuredSeconds) return;
  const result = {
    records: at.seen - begin.seen,
    sum,
    seconds: (at.milliseconds - begin.milliseconds) / 1000,
    cpuSeconds: at.cpuSeconds - begin.cpuSeconds,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.exit(0);
}

/** Reads the topic from its beginning; resolves with what ends that. */
type Start = (attempt: number) => Promise<() => Promise<void>>;
let start: Start;
let stop: () => Promise<void>;
let attempts = 0;

/** A new consumer for who has read all there is. */
async function again(): Promise<void> {
  await stop();
  nextEnd = seen + records;
  isEnding = false;
  stop = await start(attempts++);
}

async function headrace(): Promise<Start> {
  const { createKafkaCluster } = await import('../../packages/headrace/src/kafka/index.ts');
  const { RecordCursor } = await import('@headrace/kafka-records');
  const cursor = new RecordCursor();
  const cluster = createKafkaCluster({ bootstrapServers: [bootstrapServers] });
  return async () => {
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
              let records = 0;
              let ofChunk = 0;
              for (cursor.reset(chunk); cursor.next(); ) {
                records++;
                ofChunk += cursor.offset + cursor.timestamp + (cursor.keyEnd - cursor.keyStart);
                ofChunk += cursor.bytes[cursor.valueStart]! + (cursor.valueEnd - cursor.valueStart);
              }
              seen += records;
              sum += ofChunk;
              chunk.release();
            }
          }
          look();
        },
      },
    );
    reader.start();
    return () => reader.close();
  };
}

async function platformatic(): Promise<Start> {
  const { Consumer } = await import('@platformatic/kafka');
  return async (attempt) => {
    const consumer = new Consumer({
      groupId: `bench-${process.pid}-${attempt}`,
      clientId: 'bench',
      bootstrapBrokers: [bootstrapServers],
    });
    const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false });
    stream.on('data', (message) => {
      seen++;
      sum += Number(message.offset) + Number(message.timestamp) + (message.key?.length ?? -1);
      sum += message.value![0]! + message.value!.length;
      if (seen >= nextLook || seen >= nextEnd) look();
    });
    return () => consumer.close(true);
  };
}

async function kafkajs(): Promise<Start> {
  const { Kafka, logLevel } = (await import('kafkajs')).default;
  const kafka = new Kafka({ brokers: [bootstrapServers], logLevel: logLevel.NOTHING });
  return async (attempt) => {
    const consumer = kafka.consumer({ groupId: `bench-${process.pid}-${attempt}` });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        let ofBatch = 0;
        for (const message of batch.messages) {
          ofBatch += Number(message.offset) + Number(message.timestamp) + (message.key?.length ?? -1);
          ofBatch += message.value![0]! + message.value!.length;
        }
        seen += batch.messages.length;
        sum += ofBatch;
        look();
      },
    });
    return () => consumer.disconnect();
  };
}

const clients: Record<string, () => Promise<Start>> = { headrace, platformatic, kafkajs };
start = await clients[name]!();
stop = await start(attempts++);
