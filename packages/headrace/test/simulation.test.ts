import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import test, { describe } from 'node:test';
import { promisify } from 'node:util';
import { testSeed } from '@headrace/testing';
import { mutations } from './simulation/mutations.ts';
import { runSeed } from './simulation/world.ts';

const RUNS = 3000;

test('in a simulated world of faults nothing is lost, order is kept and every record has one fate', async () => {
  const first = testSeed() % 2 ** 31;
  for (let seed = first; seed < first + RUNS; seed++) {
    const { violation, trace, scenario } = await runSeed(seed);
    const about = (): string =>
      `seed ${seed}: npm run simulate -- --runs 1 --seed ${seed} --trace\n${JSON.stringify(scenario)}`;
    if (violation !== undefined) assert.fail(`${violation.message}\n${trace.slice(-40).join('\n')}\n${about()}`);
  }
});

test('a commit at a revocation delays no commit of other partitions', async () => {
  const { violation } = await runSeed(61_030_901);
  assert.equal(violation, undefined);
});

test('a process that was thrown out repeats more while a record blocks: it has nothing to commit, and hears nothing', async () => {
  const { violation } = await runSeed(648_329_258);
  assert.equal(violation, undefined);
});

test('a process that was thrown out right after the faults may have a commit of before to try again', async () => {
  const { violation } = await runSeed(1_500_040_032);
  assert.equal(violation, undefined);
});

test('what an operator skips in one process stays skipped, also when a process that was thrown out refuses to', async () => {
  const { violation } = await runSeed(1_600_014_774);
  assert.equal(violation, undefined);
});

test('a seed replays exactly', async () => {
  for (const seed of [11, 245, 558]) {
    const [one, two] = [await runSeed(seed), await runSeed(seed)];
    assert.deepEqual(two.trace, one.trace);
  }
});

const execute = promisify(execFile);

describe('the checkers catch a planted bug', { concurrency: availableParallelism() }, () => {
  for (const { name, thrown } of mutations) {
    test(name, async () => {
      const main = join(import.meta.dirname, 'simulation/main.ts');
      const args = ['--disable-warning=ExperimentalWarning', main, '--json', '--runs', '10000', '--seed', '1'];
      const ended = execute(process.execPath, [...args, '--mutation', name]);
      await assert.rejects(ended, ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => {
        assert.equal(code, 1, stderr);
        const { kind, violation } = JSON.parse(stdout) as { kind: string; violation: string };
        // A checker that is itself broken throws as well: that is not to catch a bug.
        if (thrown === undefined) assert.equal(kind, 'Violation', violation);
        else assert.equal(violation, thrown);
        return violation.length > 0;
      });
    });
  }
});
