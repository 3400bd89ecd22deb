// Rules on what surrounds a record's data: where it lies, when it was written, its headers.

import {
  acceptsNumber,
  acceptsString,
  compileAlternatives,
  type PatternSet,
  type TestList,
} from '@headrace/event-pattern';
import type { FilterRecord } from './filter-record.ts';

export type MetadataName = 'topic' | 'partition' | 'offset' | 'timestamp' | 'timestampType';

/** Scalar members of the document that a filter sees, besides `key` and `value`. */
export const metadataNames: ReadonlySet<string> = new Set<MetadataName>([
  'topic',
  'partition',
  'offset',
  'timestamp',
  'timestampType',
]);

export interface MetadataRule {
  holds(record: FilterRecord): boolean;
}

export function metadataRule(name: string, list: TestList): MetadataRule {
  return name === 'topic' || name === 'timestampType' ? new TextRule(name, list) : new NumberRule(name, list);
}

const noBytes = new Uint8Array();

/** Topics change rarely from record to record: the last verdict is kept. */
class TextRule implements MetadataRule {
  private readonly name: 'topic' | 'timestampType';
  private readonly list: TestList;
  private lastText: string | undefined = undefined;
  private lastVerdict = false;

  constructor(name: 'topic' | 'timestampType', list: TestList) {
    this.name = name;
    this.list = list;
  }

  holds(record: FilterRecord): boolean {
    const text = record[this.name];
    if (text !== this.lastText) {
      const bytes = new TextEncoder().encode(text);
      this.lastText = text;
      this.lastVerdict = acceptsString(this.list, bytes, 0, bytes.length);
    }
    return this.lastVerdict;
  }
}

class NumberRule implements MetadataRule {
  private readonly name: 'partition' | 'offset' | 'timestamp';
  private readonly list: TestList;

  constructor(name: string, list: TestList) {
    this.name = name as 'partition' | 'offset' | 'timestamp';
    this.list = list;
  }

  holds(record: FilterRecord): boolean {
    const raw = record[this.name];
    const value = Number(raw);
    // An offset that no double holds compares with nothing, like any such number in an event.
    return acceptsNumber(this.list, BigInt(value) === BigInt(raw) ? value : Number.NaN, noBytes, 0, 0);
  }
}

/** Conditions on headers, which a filter sees as the function does: `"headers": [{"name": [byte, …]}, …]`. */
export interface HeaderRule {
  holds(record: FilterRecord): boolean;
}

/** The rule for conditions on paths below `headers`, or undefined when there are none. */
export function headerRule(conditions: ReadonlyMap<string, TestList>): HeaderRule | undefined {
  return conditions.size === 0 ? undefined : new ByteHeaders(compileAlternatives([[conditions]]));
}

class ByteHeaders implements HeaderRule {
  private readonly set: PatternSet;

  constructor(set: PatternSet) {
    this.set = set;
  }

  holds(record: FilterRecord): boolean {
    const headers = record.headers().map(({ key, value }) => ({ [key]: value === null ? [] : signedBytes(value) }));
    return this.set.matchesValue({ headers });
  }
}

/** Lambda writes header bytes as a Java byte array: −128 to 127. */
function signedBytes(bytes: Uint8Array): number[] {
  return Array.from(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length));
}
