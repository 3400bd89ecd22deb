// Writes pairs of documents and code until it is killed, and says after each what must not be lost (store.test.ts).
import { openStore } from '../src/store/store.ts';

const [dataDirectory, round] = process.argv.slice(2) as [string, string];
const store = openStore({ dataDirectory });
const pairs = store.collection<{ size: number }>('pair');
const halves = store.collection<{ size: number; sha256: string }>('half');

for (let step = 0; ; step += 1) {
  const id = `thing-${step % 7}`;
  const size = (pairs.get(id)?.size ?? 0) + 1;
  const { sha256 } = store.code.put(Buffer.alloc(size, `${round} ${step}`));
  const write = (): void => {
    pairs.put(id, { size });
    halves.put(id, { size, sha256 });
  };
  const context = { principal: 'writer', operation: 'write', requestId: `${round}-${step}` };
  if (step % 2 === 0) store.transaction(write, context);
  else {
    store.groupedTransaction(write, context);
    await store.flushed();
  }
  await new Promise<void>((resolve) => {
    process.send!({ id, size }, undefined, undefined, () => resolve());
  });
}
