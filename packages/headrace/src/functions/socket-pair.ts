import { randomBytes, randomUUID } from 'node:crypto';
import { connect, createServer, type OnReadOpts, type Socket } from 'node:net';

/** Two ends of one connection: `near` for the engine, `far` for a child process. */
export interface SocketPair {
  readonly near: Socket;
  readonly far: Socket;
}

/** Where the near ends of the thread receive: emptied within one callback, so all can share it. */
const receiveBuffer = Buffer.allocUnsafeSlow(65_536);
const tokenBytes = 16;

/**
 * A pair whose near end reads into a buffer that is there already. Node's own pipes to child processes allocate 64 KiB
 * for each read and give most of it back, which costs a twentieth of an invocation with 200-byte records, batch 100.
 * Undefined where Linux's abstract sockets are missing; Node's own pipes do there.
 */
export function openSocketPair(): Promise<SocketPair | undefined> {
  if (process.platform !== 'linux') return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const path = `\0headrace-${randomUUID()}`;
    // Whoever is on this machine may connect to the name while it is there: the far end is the one that brings this.
    const token = randomBytes(tokenBytes);
    const accepted = new Set<Socket>();
    let near: Socket | undefined;
    let isDone = false;
    const done = (far: Socket | undefined): void => {
      if (isDone) return;
      isDone = true;
      server.close();
      for (const socket of accepted) if (socket !== far) socket.destroy();
      if (near === undefined || far === undefined) near?.destroy();
      resolve(near === undefined || far === undefined ? undefined : { near, far });
    };
    const server = createServer((socket) => {
      accepted.add(socket);
      socket.on('error', () => {});
      socket.once('data', (chunk: Buffer) => {
        socket.pause();
        if (!isDone && chunk.equals(token)) done(socket);
        else socket.destroy();
      });
    });
    server.on('error', () => done(undefined));
    server.listen({ path }, () => {
      near = connect({ path, onread: readInto(() => near!) });
      near.on('error', () => done(undefined));
      // However it ends before the far end has come, nobody waits for it.
      near.on('close', () => done(undefined));
      near.write(token);
    });
  });
}

export function closeSocketPair(pair: SocketPair | undefined): void {
  pair?.near.destroy();
  pair?.far.destroy();
}

/** Hands on copies, as what is received may be kept: answers are short, and come from Node's pool of memory. */
const readInto = (socket: () => Socket): OnReadOpts => ({
  buffer: receiveBuffer,
  callback: (count) => {
    const chunk = Buffer.allocUnsafe(count);
    receiveBuffer.copy(chunk, 0, 0, count);
    socket().emit('data', chunk);
    return true;
  },
});
