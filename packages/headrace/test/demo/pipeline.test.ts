import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { eventually, needs, pythonEnvironment, startKafka } from '@headrace/testing';
import { Admin } from '@platformatic/kafka';
import { type Ended, HeadraceProcess, runHeadrace } from './headrace-process.ts';

interface Summary {
  recordsProduced: number;
  recordsScored: number;
  recordsLost: number;
  duplicates: number;
  invocations: number;
  alerts: number;
  firstScoredMs: number;
  recordsPerSecond: number;
  latencyMs: { p50: number; p99: number };
  labels: { incidents: number; found: number; kinds: number; kindsFound: number; falseAlarmsPer1000: number } | null;
}

const printed = ({ code, stdout, stderr }: Ended): string => `exit ${code}\n${stdout}\n${stderr}`;

/** A successful run, its one JSON document, and nothing left behind. */
async function demo(args: string[], environment?: NodeJS.ProcessEnv): Promise<Summary> {
  const ended = await runHeadrace(['demo', '--json', ...args], environment);
  assert.equal(ended.code, 0, printed(ended));
  assert.deepEqual(ended.left, []);
  return JSON.parse(ended.stdout) as Summary;
}

describe('the demo', () => {
  test('stores every record once, finds the incidents and alerts', async () => {
    const summary = await demo(['--records', '4000', '--seed', '90050']);
    const { recordsProduced, recordsScored, recordsLost } = summary;
    assert.deepEqual(
      { recordsProduced, recordsScored, recordsLost },
      { recordsProduced: 4_000, recordsScored: 4_000, recordsLost: 0 },
    );
    assert.ok(
      summary.labels && summary.labels.kindsFound >= 3 && summary.labels.falseAlarmsPer1000 <= 5,
      JSON.stringify(summary.labels),
    );
    assert.ok(summary.alerts >= summary.labels.found, JSON.stringify(summary));
    assert.ok(summary.invocations >= 40 && summary.recordsPerSecond > 0 && summary.firstScoredMs > 0);
    assert.ok(summary.latencyMs.p50 > 0 && summary.latencyMs.p99 >= summary.latencyMs.p50);
  });

  test('prints calm lines where there is no terminal', async () => {
    const ended = await runHeadrace(['demo', '--records', '500']);
    assert.equal(ended.code, 0, printed(ended));
    assert.doesNotMatch(ended.stdout + ended.stderr, /\x1b|\r/);
    assert.match(ended.stdout, /500/);
    assert.ok(ended.stdout.split('\n').length < 60, printed(ended));
  });

  test('takes a file of your own', async () => {
    using run = new HeadraceProcess(['--version']);
    await run.ended;
    const rows = Array.from(
      { length: 400 },
      (_, i) => `2026-01-01T00:${String(i % 60).padStart(2, '0')}:00Z,${i === 350 ? 9_000 : 100 + (i % 7)}`,
    );
    const path = join(run.folder, 'own.csv');
    writeFileSync(path, `timestamp,latency\n${rows.join('\n')}\n`);
    const summary = await demo(['--input', path, '--partitions', '1']);
    assert.deepEqual([summary.recordsProduced, summary.recordsScored, summary.labels], [400, 400, null]);
    assert.equal(summary.alerts, 1);
  });

  test('runs the Python handler', { skip: needs('python') }, async () => {
    const { bin } = await pythonEnvironment(['boto3==1.42.0']);
    const summary = await demo(['--runtime', 'python', '--records', '1000'], { PATH: `${bin}:${process.env['PATH']}` });
    assert.deepEqual([summary.recordsScored, summary.recordsLost], [1_000, 0]);
  });

  test('on a real Kafka it makes a topic and a group of its own, removes both, and touches nothing else', {
    skip: needs('java', 'maven'),
  }, async () => {
    await using kafka = await startKafka();
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [kafka.bootstrapServers] });
    await admin.createTopics({ topics: ['app-logs', 'other'], partitions: 1, replicas: 1 });
    const summary = await demo(['--records', '800', '--bootstrap-servers', kafka.bootstrapServers]);
    assert.deepEqual([summary.recordsProduced, summary.recordsScored, summary.recordsLost], [800, 800, 0]);
    await eventually(async () => (await admin.listTopics()).sort().join() === 'app-logs,other');
    assert.deepEqual([...(await admin.listGroups()).keys()], []);
    await admin.close();
  });
});
