import type { JournalEntry } from './journal.ts';

/** What was in a topic: offsets from 0 up to (not including) the end, by partition name. */
export type TopicEnds = ReadonlyMap<string, number>;

export interface Verdict {
  /** In the topic. */
  readonly records: number;
  /** Never worked on to the end. */
  readonly lost: number;
  /** First handed out after a later record of their partition, or while another batch of it was at work in the same engine. */
  readonly outOfOrder: number;
  /** Times that a record was handed out again. */
  readonly duplicates: number;
  /** Longest time (ms) between two batches that ended. */
  readonly longestStall: number;
  /** The first few faults in words. */
  readonly faults: readonly string[];
}

interface PartitionState {
  /** Times that each offset was handed out. */
  readonly given: Uint8Array;
  readonly done: Uint8Array;
  highest: number;
}

const MOST_FAULTS = 5;

/** Judges a journal against what was in the topic. What lies beyond the ends is ignored. */
export function checkJournal(entries: readonly JournalEntry[], ends: TopicEnds): Verdict {
  const partitions = new Map<string, PartitionState>();
  for (const [name, end] of ends)
    partitions.set(name, { given: new Uint8Array(end), done: new Uint8Array(end), highest: -1 });
  const open = new Map<string, JournalEntry>();
  /** Which invocation is at work on a partition in an engine. */
  const atWork = new Map<string, string>();
  const faults: string[] = [];
  const fault = (text: string): void => {
    if (faults.length < MOST_FAULTS) faults.push(text);
  };
  let outOfOrder = 0;
  let duplicates = 0;
  let longestStall = 0;
  let lastEnd = Number.NaN;

  for (const entry of entries) {
    if (entry.kind === 'started') continue;
    const key = `${entry.life}/${entry.invocation}`;
    if (entry.kind === 'ended') {
      const began = open.get(key);
      if (began === undefined) throw new Error(`invocation ${key} ended and never began`);
      open.delete(key);
      for (const { partition, from, to } of began.ranges) {
        partitions.get(partition)?.done.fill(1, from, to);
        atWork.delete(`${entry.life}/${partition}`);
      }
      if (!Number.isNaN(lastEnd)) longestStall = Math.max(longestStall, entry.at - lastEnd);
      lastEnd = entry.at;
      continue;
    }
    open.set(key, entry);
    for (const { partition, from, to } of entry.ranges) {
      const other = atWork.get(`${entry.life}/${partition}`);
      if (other !== undefined && other !== key) {
        outOfOrder += to - from;
        fault(`${partition} ${from} to ${to - 1} began in engine ${entry.life} while ${other} was at work on it`);
      }
      atWork.set(`${entry.life}/${partition}`, key);
      const state = partitions.get(partition);
      if (state === undefined) continue;
      for (let offset = from; offset < Math.min(to, state.given.length); offset++) {
        if (state.given[offset]! > 0) duplicates++;
        else if (offset < state.highest) {
          outOfOrder++;
          fault(`${partition} ${offset} came after ${state.highest}`);
        }
        if (state.given[offset]! < 255) state.given[offset]!++;
        if (offset > state.highest) state.highest = offset;
      }
    }
  }

  let records = 0;
  let lost = 0;
  for (const [name, { done }] of partitions) {
    records += done.length;
    for (let offset = done.indexOf(0); offset >= 0; offset = done.indexOf(0, offset + 1)) {
      lost++;
      fault(`${name} ${offset} was never worked on`);
    }
  }
  return { records, lost, outOfOrder, duplicates, longestStall, faults };
}

/** What an engine that died or lost its partitions leaves to be handed out again. */
export interface LeftOpen {
  /** Records that were at work. */
  readonly inFlight: number;
  /** Records whose work had ended, and whose commit the broker had not accepted. */
  readonly uncommitted: number;
  /** How long before the death the first of those had ended (ms); 0 where there are none. */
  readonly uncommittedFor: number;
}

/**
 * The bound of duplicates after a death, from what happened and not from how long things should take: a record was at
 * work when the engine died, or it was settled and lies at or above what the broker had accepted as committed by then
 * (`committed`, by partition). A commit request that the death overtook counts as not made, one that arrived counts.
 */
export function leftOpen(
  entries: readonly JournalEntry[],
  life: number,
  diedAt: number,
  committed: (partition: string) => number,
): LeftOpen {
  const endedAt = new Map<string, number>();
  for (const entry of entries)
    if (entry.kind === 'ended' && entry.life === life) endedAt.set(entry.invocation, entry.at);
  let inFlight = 0;
  let uncommitted = 0;
  let uncommittedFor = 0;
  for (const entry of entries) {
    if (entry.kind !== 'began' || entry.life !== life) continue;
    const end = endedAt.get(entry.invocation) ?? Number.POSITIVE_INFINITY;
    for (const { partition, from, to } of entry.ranges) {
      const open = to - Math.max(from, Math.min(to, committed(partition)));
      if (open === 0) continue;
      if (end >= diedAt) inFlight += open;
      else {
        uncommitted += open;
        uncommittedFor = Math.max(uncommittedFor, diedAt - end);
      }
    }
  }
  return { inFlight, uncommitted, uncommittedFor };
}

/** True when every record up to the ends was worked on. */
export function isComplete(entries: readonly JournalEntry[], ends: TopicEnds): boolean {
  return checkJournal(entries, ends).lost === 0;
}
