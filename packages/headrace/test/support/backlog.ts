/** A backlog on a real Kafka before a mapping whose function hangs, then goes on. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { eventually, startKafka } from '@headrace/testing';
import { Producer } from '@platformatic/kafka';
import { createTopics } from '../kafka/harness.ts';
import { definition } from './simulated-engine.ts';
import type { StuckReport } from './stuck-engine.ts';

const PARTITIONS = 12;
const VALUE_BYTES = 10_000;
/** So many reports in a row without a change: fetching has stopped. */
const STILL = 20;

export interface BacklogResult {
  readonly records: number;
  /** Most of the process while its function hung, and after that until the backlog was gone. */
  readonly stuckBytes: number;
  readonly workingBytes: number;
  /** Fetched and not in a batch, while the function hung. */
  readonly bufferedBytes: number;
  /** What it had done when the function went on: nothing. */
  readonly succeededWhileStuck: number;
  readonly succeeded: number;
}

export async function workOffBacklog(bytes: number, timeoutMs: number): Promise<BacklogResult> {
  await using kafka = await startKafka();
  const { bootstrapServers } = kafka;
  await createTopics(bootstrapServers, ['backlog'], PARTITIONS);
  const producer = new Producer<Buffer, Buffer, Buffer, Buffer>({
    clientId: 'test',
    bootstrapBrokers: [bootstrapServers],
  });
  const value = Buffer.alloc(VALUE_BYTES, 'backlog ');
  const records = Math.ceil(bytes / VALUE_BYTES / PARTITIONS) * PARTITIONS;
  for (let produced = 0; produced < records; ) {
    const count = Math.min(records - produced, PARTITIONS * 40);
    const messages = Array.from({ length: count }, (_, i) => ({ topic: 'backlog', partition: i % PARTITIONS, value }));
    await producer.send({ messages });
    produced += count;
  }
  await producer.close();

  const mapping = definition({ bootstrapServers: [bootstrapServers], topics: ['backlog'], consumerGroupId: 'backlog' });
  const engine = fork(join(import.meta.dirname, 'stuck-engine.ts'), [JSON.stringify(mapping)], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  try {
    let last: StuckReport | undefined;
    let most = 0;
    let unchanged = 0;
    engine.on('message', (message) => {
      const report = message as StuckReport;
      most = Math.max(most, report.residentBytes);
      const isSame = report.bufferedBytes === last?.bufferedBytes && report.invocations === last.invocations;
      unchanged = isSame && report.invocations > 0 ? unchanged + 1 : 0;
      last = report;
    });
    await eventually(() => unchanged >= STILL, {
      timeoutMs,
      what: () => `fetching stops: ${JSON.stringify(last)}`,
    });
    const stuck = last!;
    const stuckBytes = most;
    most = 0;
    engine.send('go on');
    await eventually(() => last!.succeeded >= records, {
      timeoutMs,
      what: () => `${records} records: ${JSON.stringify(last)}`,
    });
    return {
      records,
      stuckBytes,
      workingBytes: most,
      bufferedBytes: stuck.bufferedBytes,
      succeededWhileStuck: stuck.succeeded,
      succeeded: last!.succeeded,
    };
  } finally {
    engine.kill('SIGKILL');
  }
}

const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;

/** One line for people. */
export function describeBacklog({ records, stuckBytes, workingBytes, bufferedBytes }: BacklogResult): string {
  return `backlog ${mebibytes(records * VALUE_BYTES)}: stuck ${mebibytes(stuckBytes)} resident, ${mebibytes(bufferedBytes)} fetched; worked off with ${mebibytes(workingBytes)} resident`;
}
