import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@headrace/testing';
import { mappingStatusChannel } from '../src/telemetry/channels.ts';
import { logStatuses } from '../src/telemetry/status-lines.ts';
import { VirtualClock } from './simulation/virtual-clock.ts';

test('a new result is logged at once, and what changes all the time once in five seconds', async () => {
  const clock = new VirtualClock(new SeededRandom(1));
  const lines: string[] = [];
  const end = logStatuses((line) => lines.push(line), clock);
  const say = (uuid: string, result: string, error?: { code: string; message: string }): void =>
    mappingStatusChannel.publish({ uuid, status: { result, reason: 'USER_INITIATED' }, error });
  const run = (milliseconds: number): Promise<void> => clock.run(clock.now() + milliseconds);

  say('a', 'PROBLEM: Function call failed', { code: 'TypeError', message: 'no' });
  say('b', 'OK');
  assert.deepEqual(lines.splice(0), ['mapping a: PROBLEM: Function call failed (TypeError: no)', 'mapping b: OK']);
  for (let i = 0; i < 501; i++) say('a', i % 2 === 0 ? 'OK' : 'PROBLEM: Function call failed');
  await run(4_900);
  assert.deepEqual(lines, []);
  await run(200);
  assert.deepEqual(lines.splice(0), ['mapping a: OK (after 501 changes)']);
  say('a', 'PROBLEM: Connection error.');
  await run(5_000);
  assert.deepEqual(lines.splice(0), ['mapping a: PROBLEM: Connection error.']);
  await run(20_000);
  say('a', 'OK');
  assert.deepEqual(lines.splice(0), ['mapping a: OK']);
  say('a', 'PROBLEM: Function call failed');
  end();
  say('b', 'OK');
  await run(20_000);
  assert.deepEqual(lines, []);
});
