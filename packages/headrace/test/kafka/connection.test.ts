/** What a connection makes of peers that are no brokers, or bad ones. */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { Backoff } from '../../src/kafka/backoff.ts';
import { Connection } from '../../src/kafka/connection.ts';
import { apiVersions } from '../../src/kafka/session-requests.ts';

/** Answers to what is asked first; `ask` is the request as it came, after its length. */
type Answer = (ask: Buffer, socket: Socket) => Buffer | undefined;

async function open(answer: Answer): Promise<Connection> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      for (let at = 0; at < bytes.length; at += 4 + bytes.readInt32BE(at)) {
        const reply = answer(bytes.subarray(at + 4), socket);
        if (reply !== undefined) socket.write(reply);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  try {
    const { port } = server.address() as AddressInfo;
    const connection = await Connection.open(
      { host: '127.0.0.1', port },
      { clientId: 'test', clientVersion: '1', connectTimeoutMilliseconds: 1000, requestTimeoutMilliseconds: 300 },
    );
    connection.onClose(close);
    return connection;
  } catch (error) {
    close();
    throw error;
  }
}

const frame = (correlation: number, ...body: number[]): Buffer => {
  const bytes = Buffer.alloc(8 + body.length);
  bytes.writeInt32BE(4 + body.length);
  bytes.writeInt32BE(correlation, 4);
  bytes.set(body, 8);
  return bytes;
};
/** ApiVersions in version 3: no error, no versions, no throttling, no tags. */
const versions = (ask: Buffer): Buffer => frame(ask.readInt32BE(4), 0, 0, 1, 0, 0, 0, 0, 0);

for (const [what, answer, code, message] of [
  ['HTTP', () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'KAFKA_PROTOCOL', /speaks HTTP/],
  ['a banner', () => Buffer.from('SSH-2.0-x\r\n'), 'KAFKA_PROTOCOL', /not Kafka's protocol/],
  ['a TLS alert', () => Buffer.from([0x15, 3, 3, 0, 2, 2, 10]), 'KAFKA_TLS', /speaks TLS/],
  ['a negative length', () => Buffer.from([0xff, 0xff, 0xff, 0xff]), 'KAFKA_PROTOCOL', /frame of -1 bytes/],
  ['another request’s answer', (ask) => frame(ask.readInt32BE(4) + 1), 'KAFKA_PROTOCOL', /out of order/],
  ['a count beyond the frame', (ask) => frame(ask.readInt32BE(4), 0, 0, 0xff, 0x7f), 'KAFKA_PROTOCOL', /an array of/],
  ['a frame cut short', (ask) => frame(ask.readInt32BE(4), 0), 'KAFKA_PROTOCOL', /holds 1 bytes where 2/],
  ['nothing', () => undefined, 'KAFKA_TIMEOUT', /did not answer ApiVersions within 300 ms/],
  ['a length and nothing more', () => Buffer.from([0x0f, 0xff, 0xff, 0xff]), 'KAFKA_TIMEOUT', /within 300 ms/],
  ['the end', (_, socket) => void socket.end(), 'KAFKA_UNREACHABLE', /closed the connection at ApiVersions/],
] as [what: string, answer: Answer, code: string, message: RegExp][]) {
  test(`a peer that answers with ${what} is told as that`, async () => {
    await assert.rejects(open(answer), { code, message });
  });
}

test('requests go out without waiting for each other, and one without an answer in time ends them all', async () => {
  const asked: number[] = [];
  const connection = await open((ask) => {
    asked.push(ask.readInt32BE(4));
    // The first is of the handshake; the next three are answered together, what follows never.
    if (asked.length === 1) return versions(ask);
    return asked.length === 4
      ? Buffer.concat(asked.slice(1).map((id) => frame(id, 0, 0, 1, 0, 0, 0, 0, 0)))
      : undefined;
  });
  const send = () => connection.send(apiVersions(3, '1'));
  const answers = await Promise.all([send(), send(), send()]);
  assert.deepEqual(
    answers.map(({ error }) => error),
    [0, 0, 0],
  );
  const ends = await Promise.allSettled([send(), send()]);
  assert.deepEqual(
    ends.map((end) => end.status === 'rejected' && (end.reason as { code: string }).code),
    ['KAFKA_TIMEOUT', 'KAFKA_TIMEOUT'],
  );
  assert.equal(connection.isClosed, true);
  await assert.rejects(send(), { code: 'KAFKA_TIMEOUT' });
});

test('pauses double up to the most, each shortened at random by up to two fifths, and begin anew', () => {
  const pauses = (random: number): number[] => {
    const backoff = new Backoff(100, 1000, () => random);
    return Array.from({ length: 6 }, () => Math.round(backoff.next()));
  };
  assert.deepEqual(pauses(0), [100, 200, 400, 800, 1000, 1000]);
  assert.deepEqual(pauses(1), [60, 120, 240, 480, 600, 600]);
  const backoff = new Backoff(100, 1000, () => 0);
  backoff.next();
  backoff.reset();
  assert.deepEqual([backoff.attempts, backoff.next(), backoff.attempts], [0, 100, 1]);
});
