import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { ChaosProxy, eventually, portOf } from '../src/index.ts';

let echo: Server;
let target: string;
before(async () => {
  echo = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket)).listen(
    0,
    '127.0.0.1',
  );
  await once(echo, 'listening');
  target = `127.0.0.1:${portOf(echo)}`;
});
after(() => echo.close());

/** A client that collects what comes back. */
function client(address: string): { socket: Socket; received: () => string; closed: Promise<void> } {
  const socket = connect(Number(address.split(':')[1]), '127.0.0.1').on('error', () => {});
  let text = '';
  socket.on('data', (chunk) => (text += chunk));
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return { socket, received: () => text, closed };
}

test('a proxy that is told nothing passes everything on, both ways and in order', async () => {
  await using proxy = await ChaosProxy.start({ target });
  const { socket, received, closed } = client(proxy.address);
  const sent = Array.from({ length: 20_000 }, (_, i) => `${i} `).join('');
  socket.end(sent);
  await closed;
  assert.ok(received() === sent, `${received().length} of ${sent.length} characters`);
  await eventually(() => proxy.open === 0);
});

test('a connection is cut within its range of life', async () => {
  await using proxy = await ChaosProxy.start({ target, cutAfterMs: [20, 40] });
  const started = performance.now();
  await client(proxy.address).closed;
  assert.ok(performance.now() - started >= 15);
  assert.deepEqual([proxy.accepted, proxy.cut], [1, 1]);
});

test('a black hole passes nothing on until it is released', async () => {
  await using proxy = await ChaosProxy.start({ target });
  const { socket, received } = client(proxy.address);
  socket.write('one');
  await eventually(() => received() === 'one');
  proxy.behaviour.blackHole = true;
  socket.write('two');
  const seen = client(target);
  seen.socket.end('direct');
  await seen.closed;
  assert.equal(received(), 'one');
  proxy.release();
  await eventually(() => received() === 'onetwo');
  socket.destroy();
});

test('a delay holds back each way', async () => {
  await using proxy = await ChaosProxy.start({ target, delayMs: 30 });
  const { socket, received } = client(proxy.address);
  const started = performance.now();
  socket.write('slow');
  await eventually(() => received() === 'slow', { everyMs: 1 });
  assert.ok(performance.now() - started >= 55);
  socket.destroy();
});

test('a proxy that refuses resets, and one that is told to cut cuts what is open', async () => {
  await using proxy = await ChaosProxy.start({ target, refuse: true });
  await client(proxy.address).closed;
  assert.equal(proxy.open, 0);
  proxy.behaviour.refuse = false;
  const open = client(proxy.address);
  open.socket.write('x');
  await eventually(() => open.received() === 'x');
  proxy.cutAll();
  await open.closed;
  assert.equal(proxy.cut, 1);
});
