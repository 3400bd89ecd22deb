import type { Registered, RequestContext } from '../apis/registry.ts';
import type { Clock } from '../clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { ErrorCode, type ErrorName, RequestError } from '../protocol/errors.ts';
import { errorAnswer, partitionedApis } from './error-answers.ts';
import { apiKeys, checkRule, type FaultAction, type FaultKind, type FaultPlan, type FaultRule } from './rule.ts';

/** A rule that was added. */
export interface Fault {
  /** How often it has happened. */
  readonly hits: number;
  remove(): void;
}

/** An answer of which only a part is sent before the connection is cut. */
export class CutAnswer {
  readonly response: unknown;
  readonly bytes: number;

  constructor(response: unknown, bytes: number) {
    this.response = response;
    this.bytes = bytes;
  }
}

interface ActiveRule {
  readonly rule: FaultRule;
  readonly keys: ReadonlySet<number> | undefined;
  hits: number;
  passed: number;
}

const defaultKinds: readonly FaultKind[] = ['error', 'delay', 'cut'];
/** Errors are drawn only where the client is known to retry them. */
const errorByApi: Record<string, ErrorName> = {
  Produce: 'NOT_LEADER_OR_FOLLOWER',
  Fetch: 'NOT_LEADER_OR_FOLLOWER',
  ListOffsets: 'NOT_LEADER_OR_FOLLOWER',
  FindCoordinator: 'COORDINATOR_NOT_AVAILABLE',
  JoinGroup: 'COORDINATOR_NOT_AVAILABLE',
  SyncGroup: 'REBALANCE_IN_PROGRESS',
  Heartbeat: 'COORDINATOR_NOT_AVAILABLE',
  OffsetCommit: 'COORDINATOR_NOT_AVAILABLE',
  OffsetFetch: 'COORDINATOR_LOAD_IN_PROGRESS',
  InitProducerId: 'COORDINATOR_LOAD_IN_PROGRESS',
};
const spared = new Set(['ApiVersions', 'SaslHandshake', 'SaslAuthenticate']);

/** Faults on purpose: rules that a test adds, and plans drawn from a seed. */
export class Faults {
  readonly #clock: Clock;
  readonly #cluster: Cluster;
  readonly #rules = new Set<ActiveRule>();
  readonly #plan: FaultPlan | undefined;
  readonly #planKeys: ReadonlySet<number> | undefined;
  #random = 0;
  readonly #delays = new Set<unknown>();

  /** @throws TypeError for a plan that makes no sense */
  constructor(clock: Clock, cluster: Cluster, plan: FaultPlan | undefined) {
    this.#clock = clock;
    this.#cluster = cluster;
    this.#plan = plan;
    this.#planKeys = apiKeys(plan?.apis);
    this.#random = (plan?.seed ?? 0) | 0;
    if (plan && !(plan.rate >= 0 && plan.rate <= 1))
      throw new TypeError(`faults.rate must be from 0 to 1, not ${plan.rate}`);
  }

  /** @throws TypeError for a rule that makes no sense */
  add(rule: FaultRule): Fault {
    checkRule(rule);
    const active: ActiveRule = { rule, keys: apiKeys(rule.api), hits: 0, passed: 0 };
    this.#rules.add(active);
    return {
      get hits() {
        return active.hits;
      },
      remove: () => void this.#rules.delete(active),
    };
  }

  clear(): void {
    this.#rules.clear();
  }

  /** Ends all delays, when the broker stops: what they held back is not done. */
  close(): void {
    for (const timer of this.#delays) this.#clock.clearTimeout(timer);
    this.#delays.clear();
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimeout(() => {
        this.#delays.delete(timer);
        resolve();
      }, delayMs);
      this.#delays.add(timer);
    });
  }

  #matches({ rule, keys }: ActiveRule, context: RequestContext): boolean {
    return (
      (keys === undefined || keys.has(context.apiKey)) &&
      (rule.clientId === undefined || rule.clientId === context.clientId) &&
      (rule.connection === undefined || rule.connection === context.connection.id) &&
      (rule.node === undefined || rule.node === context.node.id)
    );
  }

  #take(active: ActiveRule): boolean {
    const { after = 0, times = Number.POSITIVE_INFINITY } = active.rule;
    if (active.passed < after) {
      active.passed++;
      return false;
    }
    active.hits++;
    if (active.hits >= times) this.#rules.delete(active);
    return true;
  }

  /** @throws RequestError where a rule wants this partition to fail; `partition` -1 stands for the topic as a whole */
  checkPartition(context: RequestContext, topic: string, partition: number): void {
    if (this.#rules.size === 0) return;
    for (const active of this.#rules) {
      const { rule } = active;
      if (!('error' in rule) || !this.#matches(active, context)) continue;
      if (rule.topic !== undefined && rule.topic !== topic) continue;
      if (rule.partition !== undefined && rule.partition !== partition) continue;
      if (this.#take(active)) throw new RequestError(rule.error, `${rule.error} on purpose`);
    }
  }

  /** Stands between a request and its handler. */
  readonly intercept = (
    registered: Registered,
    request: unknown,
    context: RequestContext,
    handle: () => unknown,
  ): unknown => {
    if (this.#rules.size === 0 && this.#plan === undefined) return handle();
    for (const active of this.#rules) {
      const { rule } = active;
      if (!this.#matches(active, context)) continue;
      // Errors of single partitions are asked for by the handlers.
      if ('error' in rule && partitionedApis.has(registered.api.name)) continue;
      if (rule.topic !== undefined && !this.#mentions(request, rule.topic, rule.partition)) continue;
      if (this.#take(active)) return this.#act(rule, registered, request, context, handle);
    }
    const drawn = this.#draw(registered, context);
    return drawn ? this.#act(drawn, registered, request, context, handle) : handle();
  };

  /** Whether a request names the topic (and partition), by name or id, wherever in it. */
  #mentions(request: unknown, topic: string, partition: number | undefined): boolean {
    if (request === topic) return partition === undefined;
    if (Array.isArray(request)) return request.some((item) => this.#mentions(item, topic, partition));
    if (typeof request !== 'object' || request === null || Buffer.isBuffer(request)) return false;
    const struct = request as Record<string, unknown>;
    const id = this.#cluster.topics.get(topic)?.id;
    const isTopic =
      struct['name'] === topic || struct['topic'] === topic || (id !== undefined && struct['topicId'] === id);
    if (isTopic) return partition === undefined || hasPartition(struct, partition);
    return Object.values(struct).some((value) => typeof value === 'object' && this.#mentions(value, topic, partition));
  }

  #act(
    action: FaultAction,
    registered: Registered,
    request: unknown,
    context: RequestContext,
    handle: () => unknown,
  ): unknown {
    if ('error' in action) return errorAnswer(registered.api, request, ErrorCode[action.error]);
    if ('delayMs' in action) {
      return this.#sleep(action.delayMs).then(handle);
    }
    if ('blackHole' in action) {
      context.connection.socket.pause();
      return new Promise(() => undefined);
    }
    if ('cut' in action && action.cut === 'before') return 'close';
    const response = handle();
    const finish = (value: unknown): unknown =>
      'drop' in action ? null : new CutAnswer(value, ('bytes' in action ? action.bytes : 0) ?? 0);
    return response instanceof Promise ? response.then(finish) : finish(response);
  }

  #next(): number {
    // mulberry32: small, and the same everywhere.
    this.#random = (this.#random + 0x6d2b79f5) | 0;
    let value = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  }

  #draw({ api }: Registered, context: RequestContext): FaultAction | undefined {
    const plan = this.#plan;
    if (!plan || spared.has(api.name) || (this.#planKeys && !this.#planKeys.has(context.apiKey))) return undefined;
    if (this.#next() >= plan.rate) return undefined;
    const kinds = plan.kinds ?? defaultKinds;
    const kind = kinds[Math.floor(this.#next() * kinds.length)]!;
    const amount = this.#next();
    switch (kind) {
      case 'error': {
        const error = errorByApi[api.name];
        // Partitioned answers are failed by a rule for this one request.
        if (error === undefined) return undefined;
        if (!partitionedApis.has(api.name)) return { error };
        this.#rules.add({
          rule: { error, times: 1, connection: context.connection.id, api: api.name },
          keys: new Set([api.key]),
          hits: 0,
          passed: 0,
        });
        return undefined;
      }
      case 'delay':
        return { delayMs: Math.ceil(amount * (plan.maximumDelayMs ?? 100)) };
      case 'drop':
        return { drop: 'answer' };
      case 'cut':
        return amount < 0.5 ? { cut: 'before' } : { cut: 'after', bytes: Math.floor(amount * 40) };
      case 'blackHole':
        return { blackHole: true };
    }
  }
}

/** Whether a request's struct names the partition, in any of the ways in which Kafka's messages do. */
function hasPartition(value: unknown, partition: number): boolean {
  if (Array.isArray(value)) return value.some((item) => item === partition || hasPartition(item, partition));
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return false;
  const struct = value as Record<string, unknown>;
  if ([struct['partition'], struct['partitionIndex'], struct['index']].includes(partition)) return true;
  return Object.values(struct).some((item) => Array.isArray(item) && hasPartition(item, partition));
}
