// One connection that sends the same POST again and again. A client that costs little: what is measured is the server,
// and both are on this machine.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export class HttpLane {
  readonly #socket: Socket;
  readonly #request: Buffer;
  #received: Buffer = Buffer.alloc(0);
  #answered: { resolve: () => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket, request: Buffer) {
    this.#socket = socket;
    this.#request = request;
    socket.setNoDelay(true);
    socket.on('data', (bytes) => this.#read(bytes));
    socket.on('error', (error) => this.#answered?.reject(error));
    socket.on('close', () => this.#answered?.reject(new Error('the connection was closed')));
  }

  static async open(endpoint: string, path: string, body: Buffer): Promise<HttpLane> {
    const { hostname, port, host } = new URL(endpoint);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    const head = `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n\r\n`;
    return new HttpLane(socket, Buffer.concat([Buffer.from(head), body]));
  }

  /** Resolves when a whole answer with status 200 is there; rejects for any other. */
  send(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#answered = { resolve, reject };
      this.#socket.write(this.#request);
    });
  }

  close(): void {
    this.#answered = undefined;
    this.#socket.destroy();
  }

  #read(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    const end = this.#received.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.#received.toString('latin1', 0, end);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1]);
    if (this.#received.length < end + 4 + length) return;
    this.#received = Buffer.alloc(0);
    const answered = this.#answered;
    this.#answered = undefined;
    if (head.startsWith('HTTP/1.1 200 ') && length >= 0) answered?.resolve();
    else answered?.reject(new Error(`Invoke answered ${head.slice(0, 200)}`));
  }
}
