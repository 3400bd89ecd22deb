import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { closeSocketPair, openSocketPair } from '../../src/functions/socket-pair.ts';

const skip = process.platform === 'linux' ? false : 'abstract sockets are Linux’s alone';

/** Names that this process listens at; others run beside it. The columns are those of proc(5). */
function names(): string[] {
  const own = new Set(
    readdirSync('/proc/self/fd').flatMap((descriptor) => {
      try {
        return [/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${descriptor}`))?.[1]];
      } catch {
        // The descriptor of the look itself.
        return [];
      }
    }),
  );
  return readFileSync('/proc/net/unix', 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, , , flags, , , inode, name]) => name?.startsWith('@headrace-') && flags === '00010000' && own.has(inode),
    )
    .map((columns) => columns[7]!.slice(1));
}

async function read(socket: Socket, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length < bytes) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    chunks.push(chunk);
    length += chunk.length;
  }
  return Buffer.concat(chunks);
}

test('what goes in at one end comes out at the other, both ways, and chunks stay what they were', {
  skip,
}, async () => {
  const pair = await openSocketPair();
  assert.ok(pair !== undefined);
  const { near, far } = pair;
  const first = read(near, 5);
  far.write('first');
  const kept = await first;
  const large = Buffer.alloc(1_000_000, 'abcdefghij');
  const rest = read(near, large.length);
  far.write(large);
  assert.ok((await rest).equals(large));
  assert.equal(kept.toString(), 'first', 'the buffer of the reads is not what was handed on');
  const back = read(far, 6);
  far.resume();
  near.write('second');
  assert.equal((await back).toString(), 'second');
  const ended = once(near, 'end');
  near.resume();
  far.end();
  await ended;
  closeSocketPair(pair);
});

test('a paused near end reads on where it was', { skip }, async () => {
  const pair = await openSocketPair();
  assert.ok(pair !== undefined);
  const { near, far } = pair;
  const chunks: Buffer[] = [];
  near.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    near.pause();
    setImmediate(() => near.resume());
  });
  const sent = Buffer.from(Array.from({ length: 400_000 }, (_, index) => index % 251));
  const ended = once(near, 'end');
  far.end(sent);
  await ended;
  assert.ok(Buffer.concat(chunks).equals(sent));
  closeSocketPair(pair);
});

test('a stranger who connects to the name becomes nobody’s end', { skip }, async () => {
  const strangers: Socket[] = [];
  // The name is there for a moment only: whoever looks often enough sees some.
  let isLooking = true;
  const look = (): void => {
    if (!isLooking) return;
    for (const name of names()) {
      const stranger = connect({ path: `\0${name}` });
      stranger.on('error', () => {});
      stranger.write('0123456789abcdef');
      strangers.push(stranger);
    }
    setImmediate(look);
  };
  look();
  for (let count = 0; strangers.length < 20 && count < 5000; count++) {
    const pair = await openSocketPair();
    assert.ok(pair !== undefined);
    const got = read(pair.near, 4);
    pair.far.write('mine');
    assert.equal((await got).toString(), 'mine');
    closeSocketPair(pair);
  }
  isLooking = false;
  assert.ok(strangers.length >= 20, `${strangers.length} came in time`);
  await Promise.all(strangers.map((stranger) => stranger.destroyed || once(stranger, 'close')));
  assert.deepEqual(names(), []);
});

test('without descriptors there is no pair, at once, and none is left open', { skip }, async () => {
  const script = `
    import { closeSync, openSync, readdirSync } from 'node:fs';
    const { closeSocketPair, openSocketPair } = await import(process.argv[1]);
    closeSocketPair(await openSocketPair());
    const before = readdirSync('/proc/self/fd').length;
    const found = [];
    for (let free = 0; free < 6; free++) {
      const held = [];
      try { for (;;) held.push(openSync('/dev/null')); } catch {}
      for (let count = 0; count < free; count++) closeSync(held.pop());
      const pair = await openSocketPair();
      found.push(pair !== undefined);
      closeSocketPair(pair);
      await new Promise((resolve) => setImmediate(resolve));
      for (const each of held) closeSync(each);
    }
    console.log(JSON.stringify({ found, left: readdirSync('/proc/self/fd').length - before }));
  `;
  const module = new URL('../../src/functions/socket-pair.ts', import.meta.url).href;
  const { stdout } = await promisify(execFile)(
    'bash',
    ['-c', 'ulimit -n 60; exec "$@"', 'bash', process.execPath, '--input-type=module', '-e', script, module],
    { timeout: 20_000 },
  );
  const { found, left } = JSON.parse(stdout) as { found: boolean[]; left: number };
  assert.deepEqual(found.slice(0, 2), [false, false]);
  assert.equal(found.at(-1), true);
  assert.equal(left, 0);
});
