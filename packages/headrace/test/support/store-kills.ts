import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom, temporaryFolder } from '@headrace/testing';
import { openStore } from '../../src/store/store.ts';

/**
 * Kills a process that writes to one store, at a random moment each round, and looks at the store after each kill: what
 * was acknowledged is there, documents of one transaction are never apart, and code that is named is whole.
 */
export async function killWriters(options: {
  readonly kills: number;
  readonly seed: number;
}): Promise<{ readonly kills: number; readonly writes: number }> {
  const dataDirectory = temporaryFolder('store');
  const random = new SeededRandom(options.seed);
  const acknowledged = new Map<string, number>();
  let writes = 0;
  try {
    for (let round = 0; round < options.kills; round += 1) {
      const wanted = random.integer(1, 20);
      const messages = await writeUntilKilled(dataDirectory, round, wanted, random.integer(0, 3), (id, size) =>
        acknowledged.set(id, size),
      );
      assert.ok(messages >= wanted, `the writer of round ${round} ended by itself`);
      writes += messages;
      checkStore(dataDirectory, acknowledged);
    }
  } finally {
    rmSync(dataDirectory, { recursive: true, force: true });
  }
  return { kills: options.kills, writes };
}

/** Resolves to how many writes were acknowledged before the process was gone. */
async function writeUntilKilled(
  dataDirectory: string,
  round: number,
  wanted: number,
  delayMilliseconds: number,
  note: (id: string, size: number) => void,
): Promise<number> {
  const child = fork(join(import.meta.dirname, '..', 'store-writer.ts'), [dataDirectory, String(round)], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  let messages = 0;
  await new Promise<void>((resolve) => {
    child.on('message', ({ id, size }: { id: string; size: number }) => {
      note(id, size);
      messages += 1;
      // Some milliseconds later it is somewhere else in its next writes.
      if (messages === wanted) setTimeout(() => child.kill('SIGKILL'), delayMilliseconds);
    });
    child.once('exit', () => resolve());
  });
  return messages;
}

function checkStore(dataDirectory: string, acknowledged: ReadonlyMap<string, number>): void {
  const store = openStore({ dataDirectory });
  const pairs = store.collection<{ size: number }>('pair');
  const halves = store.collection<{ size: number; sha256: string }>('half');
  for (const [id, size] of acknowledged) assert.ok((pairs.get(id)?.size ?? 0) >= size, `${id} lost ${size}`);
  for (const [id, { size }] of pairs.entries()) assert.equal(halves.get(id)?.size, size);
  assert.equal(pairs.size, halves.size);
  for (const { size, sha256 } of halves.values()) assert.equal(store.code.read(sha256).length, size);
  store.close();
}
