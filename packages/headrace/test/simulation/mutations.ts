/**
 * Bugs to plant in the engine, so that the checkers are checked: each is a change of its source text at load time, and
 * each must be caught. A change whose text is not found any more is an error: the list lives with the code.
 */
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Mutation {
  readonly name: string;
  /** In `src/mappings/`, or the folder that is planted into. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Where to begin; of those that few seeds catch, one that does. */
  readonly seed?: number;
  /** Where the engine itself is what catches it: what it throws. Else a checker does. */
  readonly thrown?: string;
}

export const mutations: readonly Mutation[] = [
  {
    name: 'commit-passes-the-batch-in-flight',
    file: 'committer.ts',
    from: 'lane.requestedCommit = lane.tracker.lowWaterMark;',
    to: 'lane.requestedCommit = lane.tracker.position;',
  },
  {
    name: 'gap-is-forgotten',
    file: 'offset-tracker.ts',
    from: 'if (from > this.#lowWaterMark) {',
    to: 'if (from > this.#lowWaterMark + 1) {',
  },
  {
    name: 'retry-does-not-block-the-partition',
    file: 'ready-lanes.ts',
    from: 'lane.draining || lane.broken !== undefined || lane.work.length > 0',
    to: 'lane.draining || lane.broken !== undefined || lane.work[0]?.busy',
  },
  {
    name: 'second-half-overtakes-the-first',
    file: 'poller.ts',
    from: 'else if (!item.isFirst()) continue;',
    to: 'else if (item.lanes().some((lane) => lane.work.some((other) => other.busy))) continue;',
  },
  {
    name: 'failed-records-are-settled',
    file: 'settlement.ts',
    from: 'isFailed[index] ? aged(retry, record, rules, now, expired) : DONE',
    to: 'isFailed[index] && index > 0 ? aged(retry, record, rules, now, expired) : DONE',
  },
  {
    name: 'throttles-spend-attempts',
    file: 'settlement.ts',
    from: "fates: byAge({ kind: 'retry', at: now + wait }, batch, rules, now), spendsAttempt: false",
    to: "fates: byAge({ kind: 'retry', at: now + wait }, batch, rules, now), spendsAttempt: true",
  },
  {
    name: 'one-retry-too-many',
    file: 'settlement.ts',
    from: 'if (batch.retries >= rules.maximumRetries)',
    to: 'if (batch.retries > rules.maximumRetries)',
  },
  {
    name: 'unknown-identifier-is-ignored',
    file: 'settlement.ts',
    from: "if (response.kind === 'malformed')",
    to: "if (response.kind === 'malformed') return { fates: DONE, spendsAttempt: false };\n  if (response.kind === 'none' as string)",
  },
  {
    name: 'destination-failure-loses-the-batch',
    file: 'settlement.ts',
    from: 'return { fates: retryAt(now + wait), spendsAttempt: false, failure: event.failure };',
    to: 'return { fates: DONE, spendsAttempt: false, failure: event.failure };',
  },
  {
    name: 'revocation-does-not-wait-for-the-invocation',
    file: 'poller.ts',
    from: '() => lanes.some((lane) => lane.work.length > 0)',
    to: '() => lanes.length < 0',
  },
  {
    name: 'no-commit-before-a-partition-goes',
    file: 'poller.ts',
    from: 'await this.#committer.flush(lanes);',
    to: 'await Promise.resolve();',
  },
  {
    name: 'late-results-count-after-a-loss',
    file: 'offset-tracker.ts',
    from: 'if (this.#closed) return false;',
    to: '',
  },
  {
    name: 'lost-partition-goes-on',
    file: 'carry-out.ts',
    from: 'const alive = slices.filter(({ lane }) => !lane.draining && !lane.tracker.closed);',
    to: 'const alive = slices;',
  },
  {
    name: 'chunk-is-released-too-early',
    file: 'lane.ts',
    from: '      first.held.hold();\n',
    to: '',
  },
  {
    name: 'chunk-is-never-released',
    file: 'poller.ts',
    from: 'for (const { held } of item.slices) held.release();',
    to: 'if (settlement.failure === undefined) for (const { held } of item.slices) held.release();',
  },
  {
    name: 'filtered-record-is-settled-with-its-neighbour',
    file: 'lane.ts',
    from: 'this.tracker.settle(tile, cursor.offset + 1);',
    to: 'this.tracker.settle(from, cursor.offset + 1);',
  },
  {
    name: 'batch-grows-over-its-size',
    file: 'lane.ts',
    from: 'const offered = Math.min(first.count, maximum - moved);',
    to: 'const offered = first.count;',
  },
  {
    name: 'failed-commit-is-forgotten',
    file: 'committer.ts',
    from: '    lane.requestedCommit = -1;\n    this.#mark(lane);\n    return true;',
    to: '    return true;',
  },
  {
    name: 'fenced-process-goes-on',
    file: 'committer.ts',
    from: 'this.#onFenced(lane);',
    to: '',
  },
  {
    name: 'expired-records-are-sent',
    file: 'settlement.ts',
    from: 'return { fates: byAge(INVOKE, batch, rules, now), spendsAttempt: false };',
    to: 'return { fates: INVOKE, spendsAttempt: false };',
  },
  {
    name: 'commit-is-one-too-high',
    file: 'committer.ts',
    from: '        offset: lane.requestedCommit,',
    to: '        offset: lane.requestedCommit + 1,',
  },
  {
    name: 'commits-are-late',
    file: 'committer.ts',
    from: 'since + interval);',
    to: 'since + 4 * interval);',
  },
  {
    name: 'two-commits-at-a-time',
    file: 'committer.ts',
    from: '      while (this.#inFlight !== undefined) await this.#inFlight;\n',
    to: '',
  },
  {
    name: 'revocation-settles-what-is-in-flight',
    file: 'poller.ts',
    from: '    lane.draining = true;',
    to: '    lane.draining = true;\n    lane.tracker.settle(lane.tracker.lowWaterMark, lane.tracker.position);',
  },
  {
    name: 'retries-are-forgotten-at-a-rebalance',
    file: 'poller.ts',
    from: '    this.counts.rebalances++;',
    to: '    this.counts.rebalances++;\n    this.#waiting.clear();',
  },
  {
    name: 'given-up-records-are-settled-before-they-are-delivered',
    file: 'carry-out.ts',
    from: "      case 'destination':\n",
    to: "      case 'destination':\n        onSettled({ kind: 'done' }, slices);\n",
  },
  {
    name: 'records-are-delivered-twice',
    file: 'settlement.ts',
    from: "    case 'delivered':\n",
    to: "    case 'delivered':\n      if (random < 0.1) return { fates: retryAt(now), spendsAttempt: false };\n",
  },
  {
    name: 'retry-goes-to-the-end-of-the-line',
    file: 'poller.ts',
    from: 'for (const lane of part.lanes()) lane.work.unshift(part);',
    to: 'for (const lane of part.lanes()) lane.work.push(part);',
  },
  {
    name: 'back-off-is-ignored',
    file: 'poller.ts',
    from: 'if (item.notBefore > now) next = Math.min(next, item.notBefore);\n      else if',
    to: 'if',
  },
  {
    name: 'drain-has-no-limit',
    file: 'drains.ts',
    from: '      limit(milliseconds);\n    });',
    to: '    });',
  },
  {
    name: 'second-half-is-lost',
    file: 'carry-out.ts',
    from: 'for (const half of splitSlices(slices, Math.ceil(count / 2)))',
    to: 'for (const half of splitSlices(slices, Math.ceil(count / 2)).slice(0, 1))',
  },
  {
    name: 'a-split-spends-an-attempt',
    file: 'carry-out.ts',
    from: 'for (const half of splitSlices(slices, Math.ceil(count / 2)))\n          keep(half, (part) => {',
    to: 'for (const half of splitSlices(slices, Math.ceil(count / 2)))\n          keep(half, (part) => {\n            part.retries++;',
  },
  {
    name: 'parts-forget-their-retries',
    file: 'work-item.ts',
    from: '    part.retries = this.retries;\n',
    to: '',
  },
  {
    name: 'ten-retries-are-nine',
    file: 'settlement.ts',
    from: 'return hasDestination ? 10 :',
    to: 'return hasDestination ? 9 :',
  },
  {
    name: 'age-is-taken-for-seconds',
    file: 'settlement.ts',
    from: 'return now - record.timestamp > rules.maximumAgeMilliseconds',
    to: 'return (now - record.timestamp) / 1000 > rules.maximumAgeMilliseconds',
  },
  {
    name: 'too-large-batch-is-given-up',
    file: 'settlement.ts',
    from: 'const fates = batch.count > 1 ? SPLIT :',
    to: 'const fates = batch.count > 1000 ? SPLIT :',
  },
  {
    name: 'payload-memory-is-not-given-back',
    file: 'poller.ts',
    from: '    this.#context.memory.give(payloadCapacity(payload));\n',
    to: '',
  },
  {
    name: 'payload-is-used-again-in-flight',
    file: 'poller.ts',
    from: '    // The log tail costs',
    to: '    releasePayload(payload);\n    // The log tail costs',
    thrown: 'a payload was given back twice',
  },
  {
    name: 'begin-of-a-fetched-batch-comes-again',
    file: 'lane.ts',
    from: 'if (chunk.firstOffset > chunk.baseOffset) {',
    to: 'if (chunk.firstOffset < 0) {',
  },
  {
    name: 'given-up-records-are-overtaken',
    file: 'carry-out.ts',
    from: 'return [...deliveries, ...parts];',
    to: 'return [...parts, ...deliveries];',
  },
  {
    name: 'record-after-the-batch-is-lost',
    file: 'ready-lanes.ts',
    from: 'to: writer.lastOffset + 1 };',
    to: 'to: writer.lastOffset + 2 };',
  },
  {
    name: 'neighbours-are-joined-over-a-gap',
    file: 'slice.ts',
    from: 'last.held === part.held && last.end === part.start && last.to === part.from',
    to: 'last.held === part.held && last.lane === part.lane',
  },
  {
    name: 'unknown-record-is-ignored',
    file: 'settlement.ts',
    from: 'if (found !== named) {',
    to: 'if (found > named) {',
  },
  {
    name: 'unavailable-spends-attempts',
    file: 'settlement.ts',
    from: '      return unspent({ type: event.type, message: event.message }, 0);',
    to: '      return { ...unspent({ type: event.type, message: event.message }, 0), spendsAttempt: true };',
  },
  {
    name: 'wrong-record-is-skipped',
    file: 'settlement.ts',
    from: '(i === index ? taken : retry)',
    to: '(i === index + 1 ? taken : retry)',
  },
  {
    name: 'move-while-it-is-tried',
    file: 'poller.ts',
    from: '    if (item.busy || !item.isFirst())\n',
    to: '    if (!item.isFirst())\n',
  },
  {
    name: 'handing-back-one-lane-forgets-the-others',
    file: 'poller.ts',
    from: 'item.slices = item.slices.filter((slice) => slice.lane !== lane);',
    to: 'item.slices = [];',
  },
  {
    name: 'what-waits-is-kept-after-handing-back',
    file: 'lane.ts',
    from: '    for (const pending of this.#pending) pending.held.release();\n    this.#pending.length = 0;',
    to: '',
  },
  {
    name: 'lost-partition-is-committed-later',
    file: 'committer.ts',
    from: '    this.#dirty.delete(lane);\n  }',
    to: '  }',
  },
];

/** Changes the engine's source as it is loaded. Call it before anything of the engine is imported. */
export function plant(name: string, known = mutations, room = 'mappings'): void {
  const mutation = known.find((each) => each.name === name);
  if (mutation === undefined) throw new RangeError(`no mutation is called ${name}`);
  const path = join(fileURLToPath(new URL(`../../src/${room}`, import.meta.url)), mutation.file);
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.startsWith('file:') || fileURLToPath(url) !== path) return loaded;
      const source = Buffer.from(loaded.source as Uint8Array).toString();
      if (!source.includes(mutation.from)) throw new Error(`${mutation.file} no longer holds: ${mutation.from}`);
      return { ...loaded, source: source.replace(mutation.from, () => mutation.to) };
    },
  });
}
