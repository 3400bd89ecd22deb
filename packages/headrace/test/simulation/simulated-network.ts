/** The engine's own `Cluster` over a seeded network to a broker in this process: every byte but those of the sockets. */
import type { InProcessBroker } from '@headrace/dev-broker';
import type { SeededRandom } from '@headrace/testing';
import { HeadraceError } from '../../src/errors.ts';
import { Cluster } from '../../src/kafka/cluster.ts';
import type { Connection } from '../../src/kafka/connection.ts';
import { type KafkaRequest, WireReader, WireWriter } from '../../src/kafka/wire.ts';
import type { ProcessClock } from './process-clock.ts';
import type { VirtualClock } from './virtual-clock.ts';

const REQUEST_TIMEOUT = 5_000;

/** A request of the group protocols as it was sent. */
export interface SentRequest {
  readonly name: string;
  readonly sentAt: number;
  readonly memberId: string;
  /** Generation or member epoch; -1 where the request has none. */
  readonly generation: number;
  /** It says what the member owns, and so that the rest was given up. */
  readonly tells: boolean;
  readonly commits: readonly { readonly partition: number; readonly offset: number }[];
}

/** Sees every request when it leaves, when the broker has done it, and when its answer is there. */
export interface NetworkWatcher {
  sent(process: number, request: SentRequest): void;
  executed(process: number, request: SentRequest, answer: unknown): void;
  delivered(process: number, request: SentRequest, answer: unknown): void;
}

/** Chances, each of one request. */
export interface NetworkFaults {
  /** Longest delay in milliseconds, each way. */
  delay: number;
  /** The connection ends before the broker sees the request. */
  cutBefore: number;
  /** It ends when the broker has done it: done, and nobody knows. */
  cutAfter: number;
  /** Nothing is answered on it any more. */
  silence: number;
  /** Of a new connection: it is refused. */
  refuse: number;
}

export class SimulatedNetwork {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly broker: InProcessBroker;
  readonly watcher: NetworkWatcher;
  faults: NetworkFaults = { delay: 0, cutBefore: 0, cutAfter: 0, silence: 0, refuse: 0 };

  constructor(clock: VirtualClock, random: SeededRandom, broker: InProcessBroker, watcher: NetworkWatcher) {
    this.clock = clock;
    this.random = random;
    this.broker = broker;
    this.watcher = watcher;
  }

  /** Gives a topic more partitions, by CreatePartitions. */
  async grow(topic: string, count: number): Promise<void> {
    await this.broker.answer(
      1,
      encode({
        name: 'CreatePartitions',
        key: 37,
        version: 3,
        flexible: true,
        write: (writer) => {
          // No assignment is given.
          writer.array([topic], (name) => writer.string(name).int32(count).unsignedVarint(0).tags());
          writer.int32(5_000).boolean(false).tags();
        },
        read: () => undefined,
      }),
    );
  }

  delay(): number {
    return this.random.next() * this.faults.delay;
  }
}

const endlessFetch: Pick<Connection, 'bestVersion' | 'sendRaw'> = {
  bestVersion: (_key, _name, _min, max) => max,
  sendRaw: () => new Promise(() => {}),
};

/** The cluster as the process `id` sees it. */
export class SimulatedCluster extends Cluster {
  readonly #id: number;
  readonly #network: SimulatedNetwork;
  readonly #clock: ProcessClock;
  readonly #open = new Map<string, Promise<SimulatedConnection>>();
  readonly #connections = new Set<SimulatedConnection>();
  /** No connection can be made. */
  isIsolated = false;

  constructor(id: number, network: SimulatedNetwork, clock: ProcessClock) {
    super({ bootstrapServers: ['simulated:9092'] }, { clock, requestTimeoutMilliseconds: REQUEST_TIMEOUT });
    this.#id = id;
    this.#network = network;
    this.#clock = clock;
  }

  override connection(nodeId: number, purpose: string): Promise<Connection> {
    // There is nothing to fetch here. A fetch never fails either: the fetcher's pauses are of the machine's clock.
    if (purpose.includes('/fetch-')) return Promise.resolve(endlessFetch as unknown as Connection);
    const key = `${purpose}@${nodeId}`;
    let opening = this.#open.get(key);
    if (opening === undefined) {
      const forget = (): void => {
        if (this.#open.get(key) === opening) this.#open.delete(key);
      };
      opening = this.#connect(nodeId, forget);
      this.#open.set(key, opening);
      opening.catch(forget);
    }
    return opening as Promise<unknown> as Promise<Connection>;
  }

  override control(): Promise<Connection> {
    return this.connection(1, 'control');
  }

  override closeConnections(purpose: string): void {
    for (const [key, opening] of this.#open) {
      if (!key.startsWith(purpose)) continue;
      this.#open.delete(key);
      opening.then(
        (connection) => connection.close(),
        () => {},
      );
    }
  }

  /** Ends connections from outside; all of them when the process dies. */
  cut(chance = 1): void {
    for (const connection of [...this.#connections]) if (this.#network.random.chance(chance)) connection.cut();
  }

  /** Neither its connections nor new ones reach anybody. */
  isolate(): void {
    this.isIsolated = true;
    this.cut();
  }

  async #connect(nodeId: number, forget: () => void): Promise<SimulatedConnection> {
    const { random, faults } = this.#network;
    await this.#clock.sleep(this.#network.delay());
    if (this.isIsolated || random.chance(faults.refuse))
      throw new HeadraceError('KAFKA_UNREACHABLE', `node ${nodeId} refuses`);
    const connection = new SimulatedConnection(this.#id, nodeId, this.#network, this.#clock, () => {
      this.#connections.delete(connection);
      forget();
    });
    this.#connections.add(connection);
    return connection;
  }
}

interface Pending {
  readonly request: KafkaRequest<unknown>;
  readonly sent: SentRequest;
  readonly frame: Buffer;
  readonly timer: unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: HeadraceError) => void;
}

/** Requests arrive, are done and are answered in order, one at a time, as on a socket. */
class SimulatedConnection implements Pick<Connection, 'send' | 'bestVersion' | 'versionsOf' | 'close'> {
  readonly #process: number;
  readonly #nodeId: number;
  readonly #network: SimulatedNetwork;
  readonly #clock: ProcessClock;
  readonly #onClose: () => void;
  readonly #pending = new Set<Pending>();
  readonly #underWay: Pending[] = [];
  readonly #arrived: Pending[] = [];
  readonly #answered: (() => void)[] = [];
  #isServing = false;
  #isSilent = false;
  #isCut = false;
  #error: HeadraceError | undefined;

  constructor(process: number, nodeId: number, network: SimulatedNetwork, clock: ProcessClock, onClose: () => void) {
    this.#process = process;
    this.#nodeId = nodeId;
    this.#network = network;
    this.#clock = clock;
    this.#onClose = onClose;
  }

  /** The broker knows all of our versions. */
  bestVersion(_key: number, _name: string, _min: number, max: number): number {
    return max;
  }

  versionsOf(): { min: number; max: number } {
    return { min: 0, max: 0 };
  }

  send<T>(request: KafkaRequest<T>, timeoutMilliseconds = REQUEST_TIMEOUT): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#error !== undefined) {
        reject(this.#error);
        return;
      }
      const frame = encode(request);
      const sent = describe(request.name, frame, this.#clock.now());
      const timer = this.#clock.setTimeout(() => {
        this.close(new HeadraceError('KAFKA_TIMEOUT', `no answer to ${request.name} in ${timeoutMilliseconds} ms`));
      }, timeoutMilliseconds);
      const pending = { request, sent, frame, timer, resolve: resolve as (value: unknown) => void, reject };
      this.#pending.add(pending);
      this.#underWay.push(pending);
      this.#network.watcher.sent(this.#process, sent);
      this.#network.clock.setTimeout(() => {
        if (this.#isCut) return;
        this.#arrived.push(this.#underWay.shift()!);
        void this.#serve();
      }, this.#network.delay());
    });
  }

  /** From our side. */
  close(error = new HeadraceError('KAFKA_DISCONNECTED', 'the connection was closed')): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#isCut = true;
    this.#onClose();
    for (const { timer, reject } of this.#pending) {
      this.#clock.clearTimeout(timer);
      reject(error);
    }
    this.#pending.clear();
  }

  /** From the other side, or on the way: what has not reached the broker never will. */
  cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    const lost = new HeadraceError('KAFKA_DISCONNECTED', 'the connection was lost');
    this.#clock.setTimeout(() => this.close(lost), this.#network.delay());
  }

  async #serve(): Promise<void> {
    if (this.#isServing) return;
    this.#isServing = true;
    const { faults, random, broker, watcher } = this.#network;
    while (this.#arrived.length > 0 && !this.#isCut && !this.#isSilent) {
      const pending = this.#arrived.shift()!;
      if (random.chance(faults.silence)) this.#isSilent = true;
      else if (random.chance(faults.cutBefore)) this.cut();
      else {
        const isLost = random.chance(faults.cutAfter);
        const answer = await broker.answer(this.#nodeId, pending.frame);
        if (answer === undefined) this.cut();
        else {
          const value = decode(pending.request, answer);
          watcher.executed(this.#process, pending.sent, value);
          if (isLost) this.cut();
          else this.#deliver(pending, value);
        }
      }
    }
    this.#isServing = false;
  }

  #deliver(pending: Pending, value: unknown): void {
    this.#answered.push(() => {
      if (!this.#pending.delete(pending)) return;
      this.#clock.clearTimeout(pending.timer);
      this.#network.watcher.delivered(this.#process, pending.sent, value);
      pending.resolve(value);
    });
    this.#clock.setTimeout(() => {
      const next = this.#answered.shift();
      if (!this.#isCut) next?.();
    }, this.#network.delay());
  }
}

function encode(request: KafkaRequest<unknown>): Buffer {
  const writer = new WireWriter(false);
  writer.int16(request.key).int16(request.version).int32(0).string('simulated');
  writer.flexible = request.flexible;
  writer.tags();
  request.write(writer);
  return Buffer.from(writer.written);
}

/** Header: the correlation id, and tags where the version has them. */
function decode<T>(request: KafkaRequest<T>, answer: Buffer): T {
  const reader = new WireReader(answer, 0, answer.length, request.flexible);
  reader.int32();
  reader.tags();
  return request.read(reader);
}

/** Two bytes each of key and version, four of correlation id, the client id, no tags. */
const HEADER_BYTES = 2 + 2 + 4 + 2 + 'simulated'.length + 1;

function describe(name: string, frame: Buffer, sentAt: number): SentRequest {
  const reader = new WireReader(frame, HEADER_BYTES, frame.length, true);
  const plain = { name, sentAt, memberId: '', generation: -1, tells: false, commits: [] };
  switch (name) {
    case 'JoinGroup': {
      reader.string();
      reader.int32();
      reader.int32();
      return { ...plain, memberId: reader.string(), tells: true };
    }
    case 'SyncGroup':
    case 'Heartbeat': {
      reader.string();
      const generation = reader.int32();
      return { ...plain, generation, memberId: reader.string() };
    }
    case 'ConsumerGroupHeartbeat': {
      reader.string();
      const memberId = reader.string();
      const generation = reader.int32();
      reader.nullableString();
      reader.nullableString();
      reader.int32();
      reader.nullableArray(() => reader.string());
      reader.nullableString();
      reader.nullableString();
      const owned = reader.nullableArray(() => {
        reader.uuid();
        reader.array(() => reader.int32());
        reader.tags();
      });
      return { ...plain, memberId, generation, tells: owned !== null };
    }
    case 'OffsetCommit': {
      reader.string();
      const generation = reader.int32();
      const memberId = reader.string();
      reader.nullableString();
      const commits = reader.array(() => {
        reader.string();
        const partitions = reader.array(() => {
          const partition = reader.int32();
          const offset = reader.int64();
          reader.int32();
          reader.string();
          reader.tags();
          return { partition, offset };
        });
        reader.tags();
        return partitions;
      });
      return { ...plain, memberId, generation, commits: commits.flat() };
    }
    default:
      return plain;
  }
}
