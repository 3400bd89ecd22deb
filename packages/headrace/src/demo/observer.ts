import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { InvokeOutcome } from '../functions/outcome.ts';
import { mappingInvocationChannel } from '../telemetry/channels.ts';
import type { ProducedTimes } from './produced-times.ts';

/** What the demo reads of an invocation that a mapping made; see `telemetry/channels.ts`. */
interface MappingInvocation {
  readonly uuid: string;
  readonly outcome: InvokeOutcome;
  readonly records: number;
  readonly partitions: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly firstOffset: number;
    readonly lastOffset: number;
  }[];
}

/** What the example's handler answers; an event source mapping ignores it, the demo shows it. */
interface HandlerAnswer {
  readonly highestScore?: number;
}

/**
 * Follows the demo's one mapping from the engine's diagnostics channel. A record counts as stored when the invocation
 * that held it succeeded: the handler answers only after DynamoDB did, so the times are upper bounds.
 */
export class Observer {
  readonly #times: ProducedTimes;
  readonly #stored = new Map<number, Uint8Array>();
  #latencies = new Float64Array(4096);
  #latencyCount = 0;
  #earlyCount = 0;
  #firstStoredAt = Number.NaN;
  #highest = 0;

  /** Records of which storing was seen, each once. */
  stored = 0;
  /** Records that were handed to the function in all, repetitions too. */
  delivered = 0;
  invocations = 0;
  failedInvocations = 0;
  /** `performance.now()` when the first record with a score above 0 was stored; NaN before. */
  firstScoredAt = Number.NaN;
  lastStoredAt = Number.NaN;
  readonly #listener = (message: unknown): void => this.#see(message as MappingInvocation);

  constructor(times: ProducedTimes) {
    this.#times = times;
    subscribe(mappingInvocationChannel.name as string, this.#listener);
  }

  close(): void {
    unsubscribe(mappingInvocationChannel.name as string, this.#listener);
  }

  /** The highest score since the last call. */
  takeHighestScore(): number {
    const highest = this.#highest;
    this.#highest = 0;
    return highest;
  }

  /**
   * Milliseconds from produce to stored; a copy. Of the records that were sent once the first one was stored: those before
   * waited for the function's first start, which `firstScoredAt` tells. Of all, when they are fewer than a hundred.
   */
  latencies(): Float64Array {
    const start = this.#latencyCount - this.#earlyCount >= 100 ? this.#earlyCount : 0;
    return this.#latencies.slice(start, this.#latencyCount);
  }

  #see(invocation: MappingInvocation): void {
    this.invocations += 1;
    this.delivered += invocation.records;
    if (invocation.outcome.kind !== 'success') {
      this.failedInvocations += 1;
      return;
    }
    const now = performance.now();
    this.lastStoredAt = now;
    if (Number.isNaN(this.#firstStoredAt)) this.#firstStoredAt = now;
    const answer = readAnswer(invocation.outcome.payload);
    if (answer.highestScore !== undefined) {
      this.#highest = Math.max(this.#highest, answer.highestScore);
      if (answer.highestScore > 0 && Number.isNaN(this.firstScoredAt)) this.firstScoredAt = now;
    }
    for (const { partition, firstOffset, lastOffset } of invocation.partitions) {
      for (let offset = firstOffset; offset <= lastOffset; offset += 1) {
        if (!this.#mark(partition, offset)) continue;
        const sentAt = this.#times.get(partition, offset);
        if (!Number.isNaN(sentAt)) this.#addLatency(now - sentAt, sentAt >= this.#firstStoredAt);
      }
    }
  }

  /** True when the record was not seen before. */
  #mark(partition: number, offset: number): boolean {
    let bits = this.#stored.get(partition);
    if (bits === undefined || offset >= bits.length) {
      const larger = new Uint8Array(Math.max(offset + 1, (bits?.length ?? 2048) * 2));
      if (bits) larger.set(bits);
      bits = larger;
      this.#stored.set(partition, bits);
    }
    if (bits[offset] === 1) return false;
    bits[offset] = 1;
    this.stored += 1;
    return true;
  }

  /** Latencies of records that were sent before the first was stored stand at the front. */
  #addLatency(milliseconds: number, isSteady: boolean): void {
    if (this.#latencyCount === this.#latencies.length) {
      const larger = new Float64Array(this.#latencies.length * 2);
      larger.set(this.#latencies);
      this.#latencies = larger;
    }
    if (isSteady) this.#latencies[this.#latencyCount] = milliseconds;
    else {
      this.#latencies[this.#latencyCount] = this.#latencies[this.#earlyCount]!;
      this.#latencies[this.#earlyCount] = milliseconds;
      this.#earlyCount += 1;
    }
    this.#latencyCount += 1;
  }
}

function readAnswer(payload: Buffer): HandlerAnswer {
  if (payload.length > 64 * 1024) return {};
  try {
    const value: unknown = JSON.parse(payload.toString('utf8'));
    if (typeof value !== 'object' || value === null || !('highestScore' in value)) return {};
    return typeof value.highestScore === 'number' ? { highestScore: value.highestScore } : {};
  } catch {
    return {};
  }
}
