// What a mapping's filters would do with records that exist: how many pass, how many miss by one clause and by which,
// how many have a format that the rules were not written for.

import { compilePattern, isUtf8, validateJson } from '@headrace/event-pattern';
import { compileFilterCriteria, type FilterOptions, type FilterRecord, type RecordFilter } from './filter.ts';

/** A record as the report shows it. */
export interface DryRunExample {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  /** The value as text, cut at 300 characters; null for a tombstone, absent where it is not UTF-8. */
  readonly value?: string | null;
  /** What stands where the clause looks, as JSON; absent when there is nothing. */
  readonly found?: readonly string[];
}

export interface NearMiss {
  /** Index of the filter. */
  readonly filter: number;
  readonly path: string;
  readonly rule: string;
  readonly records: number;
  readonly examples: readonly DryRunExample[];
}

export interface DryRunReport {
  readonly records: number;
  readonly matched: { readonly records: number; readonly examples: readonly DryRunExample[] };
  /** Records that no filter matches and one would but for this clause; by clause, the most frequent first. */
  readonly nearMisses: readonly NearMiss[];
  /** Records whose clauses each hold, but not in the same elements of their arrays. */
  readonly inconsistent: { readonly records: number; readonly examples: readonly DryRunExample[] };
  /** Records that do not match and whose data is a plain string (or no text) for a JSON rule, or the reverse. */
  readonly formatMismatches: { readonly records: number; readonly examples: readonly DryRunExample[] };
  readonly warnings: readonly string[];
}

const shownExamples = 5;
const shownCharacters = 300;

interface Tally {
  records: number;
  readonly examples: DryRunExample[];
}

/** Counts a record; keeps the first few. */
function add(tally: Tally, record: FilterRecord, found?: readonly string[]): void {
  tally.records++;
  if (tally.examples.length < shownExamples) tally.examples.push(exampleOf(record, found));
}

export class FilterDryRun {
  private readonly filter: RecordFilter;
  /** The same filters one by one, with what explains them. */
  private readonly singles: readonly {
    readonly filter: RecordFilter;
    readonly pattern: ReturnType<typeof compilePattern>;
  }[];
  private records = 0;
  private readonly matched: Tally = { records: 0, examples: [] };
  private readonly inconsistent: Tally = { records: 0, examples: [] };
  private readonly formatMismatches: Tally = { records: 0, examples: [] };
  private readonly nearMisses = new Map<string, Tally & { filter: number; path: string; rule: string }>();

  /** Throws InvalidFilterError like the mapping itself. */
  constructor(patterns: readonly string[], options: FilterOptions = {}) {
    const compile = (some: readonly string[]): RecordFilter =>
      compileFilterCriteria({ Filters: some.map((Pattern) => ({ Pattern })) }, options)!;
    this.filter = compile(patterns);
    this.singles = patterns.map((pattern) => ({ filter: compile([pattern]), pattern: compilePattern(pattern) }));
  }

  add(record: FilterRecord): void {
    this.records++;
    if (this.filter.matches(record)) {
      add(this.matched, record);
      return;
    }
    let mismatched = false;
    let document: string | undefined;
    for (const [index, { filter, pattern }] of this.singles.entries()) {
      const before = filter.formatMismatches;
      filter.matches(record);
      if (filter.formatMismatches > before) {
        mismatched = true;
        continue;
      }
      document ??= documentOf(record);
      const { clauses, inconsistent } = pattern.explain(document);
      if (inconsistent) add(this.inconsistent, record);
      const [failing, ...more] = clauses.filter((clause) => !clause.matched);
      if (failing === undefined || more.length > 0) continue;
      const key = `${index} ${failing.path} ${failing.rule}`;
      const { path, rule } = failing;
      const tally = this.nearMisses.get(key) ?? { filter: index, path, rule, records: 0, examples: [] };
      this.nearMisses.set(key, tally);
      add(tally, record, failing.found);
    }
    if (mismatched) add(this.formatMismatches, record);
  }

  report(): DryRunReport {
    return {
      records: this.records,
      matched: this.matched,
      nearMisses: [...this.nearMisses.values()].sort((a, b) => b.records - a.records),
      inconsistent: this.inconsistent,
      formatMismatches: this.formatMismatches,
      warnings: this.filter.warnings,
    };
  }
}

function exampleOf(record: FilterRecord, found?: readonly string[]): DryRunExample {
  const { topic, partition, offset, value } = record;
  const example: { -readonly [K in keyof DryRunExample]: DryRunExample[K] } = {
    topic,
    partition,
    offset: String(offset),
  };
  if (value === null) example.value = null;
  else if (isUtf8(value)) {
    const text = new TextDecoder().decode(value);
    example.value = text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text;
  }
  if (found !== undefined) example.found = found;
  return example;
}

/** The JSON document that the language's own explanation can read, data as they are written. */
function documentOf(record: FilterRecord): string {
  const { topic, partition, offset, timestamp, timestampType } = record;
  const members = Object.entries({ topic, partition, timestamp, timestampType }).map(
    ([name, member]) => `${JSON.stringify(name)}:${JSON.stringify(member)}`,
  );
  members.push(`"offset":${offset}`, ...dataMember('key', record.key), ...dataMember('value', record.value));
  const headers = record.headers().map(({ key, value }) => ({ [key]: [...new Int8Array(value ?? [])] }));
  members.push(`"headers":${JSON.stringify(headers)}`);
  return `{${members.join()}}`;
}

function dataMember(name: string, data: Uint8Array | null): string[] {
  if (data === null) return [`"${name}":null`];
  if (!isUtf8(data)) return [];
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(data);
  const isJson = /^[ \t\r\n]*[{[]/.test(text) && validateJson(data) === undefined;
  return [`"${name}":${isJson ? text : JSON.stringify(text)}`];
}
