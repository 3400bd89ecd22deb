import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { LambdaClient, ListEventSourceMappingsCommand } from '@aws-sdk/client-lambda';
import { eventually } from '@headrace/testing';

const launcher = fileURLToPath(new URL('../bin/headrace.js', import.meta.url));

interface Started {
  readonly child: ChildProcess;
  out(): string;
  err(): string;
  /** Exit code. */
  readonly ended: Promise<number | null>;
}

function startDemo(...words: string[]): Started {
  const child = spawn(process.execPath, [launcher, 'demo', ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  return {
    child,
    out: () => out,
    err: () => err,
    ended: new Promise((resolve) => child.on('close', (code) => resolve(code))),
  };
}

/** Processes that descend from this one, by /proc; Linux only, where the tests run. */
function descendants(processId: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // Ended between the two reads.
    }
  }
  const found: number[] = [];
  for (let layer = [processId]; layer.length > 0; ) {
    layer = [...parents].filter(([, parent]) => layer.includes(parent)).map(([child]) => child);
    found.push(...layer);
  }
  return found;
}

const isAlive = (processId: number): boolean => {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${processId}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };

describe('headrace demo', { timeout: 120_000 }, () => {
  it('prints what is really in the table, and can be looked at while it keeps running', async () => {
    const demo = startDemo('--json', '--records', '3000', '--keep-running');
    const endpoint = await eventually(() => /--endpoint-url (http:\S+)/.exec(demo.err())?.[1], { timeoutMs: 60_000 });
    const summary = JSON.parse(demo.out()) as Record<string, unknown>;
    const configuration = { endpoint, region: 'us-east-1', credentials };
    const dynamodb = new DynamoDBClient(configuration);
    const lambda = new LambdaClient(configuration);
    try {
      const keys = new Set<string>();
      let above = 0;
      let from: Record<string, { S: string }> | undefined;
      do {
        const page = await dynamodb.send(
          new ScanCommand({ TableName: 'ScoredLogs', ...(from ? { ExclusiveStartKey: from } : {}) }),
        );
        for (const item of page.Items ?? []) {
          keys.add(`${item['topic']?.S} ${item['partition']?.N} ${item['offset']?.N}`);
          const score = item['rcf_score']?.N;
          assert.ok(score !== undefined && Number.isFinite(Number(score)), 'rcf_score is a number');
          assert.equal(item['anomalous']?.BOOL, Number(score) > 3);
          if (Number(score) > 3) above += 1;
        }
        from = page.LastEvaluatedKey as typeof from;
      } while (from);
      assert.equal(keys.size, 3000);
      assert.equal(summary['recordsProduced'], 3000);
      assert.equal(summary['recordsScored'], keys.size);
      assert.equal(summary['recordsLost'], 0);
      assert.equal(summary['duplicates'], 0);
      assert.equal(summary['anomalous'], above);
      assert.ok(Number(summary['alerts']) > 0);
      assert.ok(Number(summary['firstScoredMs']) > 0);
      assert.ok(Number(summary['recordsPerSecond']) > 0);
      const latency = summary['latencyMs'] as { p50: number; p99: number };
      assert.ok(latency.p50 > 0 && latency.p99 >= latency.p50);
      const labels = summary['labels'] as Record<string, number>;
      for (const member of ['incidents', 'found', 'kinds', 'kindsFound', 'falseAlarmsPer1000']) {
        assert.equal(typeof labels[member], 'number', member);
      }
      const { EventSourceMappings } = await lambda.send(new ListEventSourceMappingsCommand({}));
      assert.equal(EventSourceMappings?.length, 1);
      assert.equal(EventSourceMappings[0]?.LastProcessingResult, 'OK');
    } finally {
      dynamodb.destroy();
      lambda.destroy();
      const below = descendants(demo.child.pid!);
      demo.child.kill('SIGINT');
      assert.equal(await demo.ended, 130);
      await eventually(() => below.every((processId) => !isAlive(processId)));
    }
  });

  it('Ctrl-C drains, prints the summary so far and exits 130, with no process left', async () => {
    const demo = startDemo('--json', '--records', '100000', '--rate', '500');
    const below = await eventually(
      () => {
        const found = descendants(demo.child.pid!);
        return found.length >= 2 ? found : undefined;
      },
      { timeoutMs: 30_000, what: 'table and function run' },
    );
    demo.child.kill('SIGINT');
    assert.equal(await demo.ended, 130, demo.err());
    const summary = JSON.parse(demo.out()) as Record<string, number>;
    assert.ok(summary['recordsProduced']! < 100_000);
    assert.equal(summary['recordsScored'], summary['recordsProduced']);
    await eventually(() => below.every((processId) => !isAlive(processId)));
  });

  it('Ctrl-C twice exits at once, and a killed demo leaves no process either', async () => {
    for (const way of ['twice', 'kill'] as const) {
      const demo = startDemo(
        '--json',
        '--records',
        '100000',
        '--rate',
        '500',
        '--window',
        '300',
        '--batch-size',
        '10000',
      );
      const below = await eventually(
        () => {
          const found = descendants(demo.child.pid!);
          return found.length >= 1 ? found : undefined;
        },
        { timeoutMs: 30_000 },
      );
      if (way === 'kill') demo.child.kill('SIGKILL');
      else {
        demo.child.kill('SIGINT');
        // Within a tenth of a second both count as one: npm and the terminal may each deliver the same Ctrl-C.
        const first = performance.now();
        await eventually(() => performance.now() - first > 150);
        demo.child.kill('SIGINT');
        assert.equal(await demo.ended, 130);
        assert.ok(performance.now() - first < 3000);
      }
      await demo.ended;
      await eventually(() => below.every((processId) => !isAlive(processId)), { what: `no process after ${way}` });
    }
  });
});
