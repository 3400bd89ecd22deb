import { readFileSync } from 'node:fs';

/** Half-open. */
export interface OffsetRange {
  readonly partition: string;
  readonly from: number;
  readonly to: number;
}

/** One invocation as the function wrote it down, or the start of the function's own process. */
export interface JournalEntry {
  readonly kind: 'started' | 'began' | 'ended';
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Process id of the engine. */
  readonly life: number;
  /** For `started` the process id of the function. */
  readonly invocation: string;
  /** Empty for others than `began`. */
  readonly ranges: readonly OffsetRange[];
}

/** What the journaling function wrote; nothing when it did not run yet. See {@link parseJournal}. */
export function readJournal(file: string): JournalEntry[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return parseJournal(text);
}

/** A last line that is not whole yet is left out; any other that is none throws. */
export function parseJournal(text: string): JournalEntry[] {
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1)
    .map(parseLine);
}

const kinds = new Map<string, JournalEntry['kind']>([
  ['S', 'started'],
  ['B', 'began'],
  ['E', 'ended'],
]);

function parseLine(line: string): JournalEntry {
  const [kind, at, life, invocation, ...got] = line.split(' ');
  const known = kinds.get(kind ?? '');
  if (known === undefined || invocation === undefined) throw new Error(`not a line of a journal: ${line}`);
  return {
    kind: known,
    at: Number(at),
    life: Number(life),
    invocation,
    ranges: got.flatMap(parseRanges),
  };
}

function parseRanges(text: string): OffsetRange[] {
  const colon = text.lastIndexOf(':');
  const partition = text.slice(0, colon);
  return text
    .slice(colon + 1)
    .split(',')
    .map((range) => {
      const [first, last] = range.split('-').map(Number) as [number, number];
      return { partition, from: first, to: last + 1 };
    });
}
