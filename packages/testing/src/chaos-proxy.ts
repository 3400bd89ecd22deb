import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { portOf } from './port.ts';
import { SeededRandom } from './random.ts';

/** What the proxy does to connections; every member can be changed while it runs. */
export interface ChaosBehaviour {
  /** Cut each connection after a random life in this range of milliseconds. `undefined`: let it live. */
  cutAfterMs: [low: number, high: number] | undefined;
  /** Hold back each chunk of bytes, each way, this long (milliseconds). */
  delayMs: number;
  /** Take bytes and pass none on, either way: the peer seems to have died without a word. */
  blackHole: boolean;
  /** Refuse connections: accept, and reset at once. */
  refuse: boolean;
  /** Spoil the last byte of this text wherever it goes to the client in one piece: a bit that fell over. */
  spoil: string | undefined;
}

export interface ChaosProxyOptions extends Partial<ChaosBehaviour> {
  /** Where connections go, `host:port`; may be told later, for a server that has to know the proxy's port to start. */
  target?: string;
  /** Of the random lives; 1 by default. */
  seed?: number;
}

/** A TCP proxy on 127.0.0.1 that mistreats what passes through it. */
export class ChaosProxy implements AsyncDisposable {
  /** What happens to connections from now on. */
  readonly behaviour: ChaosBehaviour;
  /** Where connections go from now on, `host:port`; undefined: they are refused. */
  target: string | undefined;
  /** Connections accepted since the start. */
  accepted = 0;
  /** Connections that this proxy cut. */
  cut = 0;
  readonly #server: Server;
  readonly #pairs = new Set<{ client: Socket; upstream: Socket; held: (() => void)[] }>();
  readonly #random: SeededRandom;

  static async start(options: ChaosProxyOptions = {}): Promise<ChaosProxy> {
    const proxy = new ChaosProxy(options);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  private constructor(options: ChaosProxyOptions) {
    const { target, seed = 1, cutAfterMs, delayMs = 0, blackHole = false, refuse = false, spoil } = options;
    this.behaviour = { cutAfterMs, delayMs, blackHole, refuse, spoil };
    this.#random = new SeededRandom(seed);
    this.target = target;
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
  }

  /** Where clients connect, `host:port`. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#pairs.size;
  }

  /** Resets every open connection. */
  cutAll(): void {
    for (const pair of this.#pairs) this.#cut(pair);
  }

  /** Ends a black hole: what was held back is passed on. */
  release(): void {
    this.behaviour.blackHole = false;
    for (const pair of this.#pairs) for (const send of pair.held.splice(0)) send();
  }

  async stop(): Promise<void> {
    for (const { client, upstream } of this.#pairs) {
      client.destroy();
      upstream.destroy();
    }
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #accept(client: Socket): void {
    this.accepted += 1;
    const { target } = this;
    if (this.behaviour.refuse || target === undefined) {
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    const colon = target.lastIndexOf(':');
    const [host, port] = [target.slice(0, colon), Number(target.slice(colon + 1))];
    const upstream = connect({ host, port, allowHalfOpen: true });
    const pair = { client, upstream, held: [] };
    this.#pairs.add(pair);
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    this.#pass(client, upstream, pair.held);
    this.#pass(upstream, client, pair.held, (chunk) => this.#spoil(chunk));
    let timer: NodeJS.Timeout | undefined;
    if (this.behaviour.cutAfterMs) {
      const [low, high] = this.behaviour.cutAfterMs;
      timer = setTimeout(() => this.#cut(pair), this.#random.integer(low, high));
    }
    const end = (): void => {
      clearTimeout(timer);
      this.#pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      // Errors of either side are what this proxy is for; 'close' follows each and ends the pair.
      socket.on('error', () => {});
      socket.on('close', end);
    }
  }

  /** Passes bytes on in order, one chunk at a time: the sender waits while a chunk is held back. */
  #pass(from: Socket, to: Socket, held: (() => void)[], change: (chunk: Buffer) => void = () => {}): void {
    const forward = (chunk: Buffer): void => {
      if (to.destroyed) return;
      if (to.write(chunk)) from.resume();
      else to.once('drain', () => from.resume());
    };
    from.on('data', async (chunk: Buffer) => {
      from.pause();
      change(chunk);
      if (this.behaviour.delayMs > 0) await delay(this.behaviour.delayMs);
      if (this.behaviour.blackHole) held.push(() => forward(chunk));
      else forward(chunk);
    });
    from.on('end', () => to.end());
  }

  #spoil(chunk: Buffer): void {
    const { spoil } = this.behaviour;
    if (spoil === undefined) return;
    for (let at = chunk.indexOf(spoil); at >= 0; at = chunk.indexOf(spoil, at + 1)) {
      const last = at + Buffer.byteLength(spoil) - 1;
      chunk[last] = chunk[last]! ^ 1;
    }
  }

  #cut(pair: { client: Socket; upstream: Socket }): void {
    this.cut += 1;
    for (const socket of [pair.client, pair.upstream]) {
      if (socket.connecting) socket.destroy();
      else socket.resetAndDestroy();
    }
  }
}
