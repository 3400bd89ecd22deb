import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import test, { describe } from 'node:test';
import { promisify } from 'node:util';
import { testSeed } from '@headrace/testing';
import { membershipMutations } from './simulation/membership-mutations.ts';
import { runMembershipSeed } from './simulation/membership-world.ts';

const RUNS = 200;

test('in a simulated world of faults each partition has one owner, who alone commits, and gets it back in time', async () => {
  const first = testSeed() % 2 ** 31;
  let commits = 0;
  let losses = 0;
  for (let seed = first; seed < first + RUNS; seed++) {
    const { violation, trace, scenario, ...counts } = await runMembershipSeed(seed);
    commits += counts.commits;
    losses += counts.losses;
    const about = `seed ${seed}: npm run simulate -- --membership --runs 1 --seed ${seed} --trace`;
    if (violation !== undefined) {
      assert.fail(`${violation.message}\n${trace.slice(-60).join('\n')}\n${about}\n${JSON.stringify(scenario)}`);
    }
  }
  assert.ok(commits > 20 * RUNS, `the members worked: ${commits} commits`);
  assert.ok(losses > RUNS / 10, `and had something to bear: ${losses} losses`);
});

test('a seed of the membership replays exactly, also those that found bugs', async () => {
  // A commit after a loss, an assignment in a lost answer, a heartbeat between JoinGroup and SyncGroup.
  for (const seed of [7, 28, 629, 8013]) {
    const [one, two] = [await runMembershipSeed(seed), await runMembershipSeed(seed)];
    assert.equal(one.violation, undefined);
    assert.deepEqual(two.trace, one.trace);
  }
});

const execute = promisify(execFile);

describe('the checker of the membership catches a planted bug', { concurrency: availableParallelism() }, () => {
  for (const { name, seed = 1 } of membershipMutations) {
    test(name, async () => {
      const main = join(import.meta.dirname, 'simulation/main.ts');
      const args = ['--disable-warning=ExperimentalWarning', main, '--membership', '--json', '--runs', '2000'];
      const ended = execute(process.execPath, [...args, '--seed', String(seed), '--mutation', name]);
      await assert.rejects(ended, ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => {
        assert.equal(code, 1, stderr);
        const { kind, violation } = JSON.parse(stdout) as { kind: string; violation: string };
        // A checker that is itself broken throws as well: that is not to catch a bug.
        assert.equal(kind, 'Violation', violation);
        return violation.length > 0;
      });
    });
  }
});
