// Rules on `value` and `key`: raw bytes that are JSON, a plain string, or neither, against rules written for one of the
// two. What happens when they differ is Lambda's own table, not the pattern language's.

import {
  type Alternative,
  acceptsString,
  compileAlternatives,
  InvalidEventError,
  isUtf8,
  type PatternSet,
  type TestList,
  validateJson,
} from '@headrace/event-pattern';

export type FormatMismatch = 'drop' | 'deliver';

/** A rule for the data of a record. */
export interface DataRule {
  /** `json` when written as an object (`{"value":{"id":[1]}}`), `plain` when written as a list (`{"value":["ping"]}`). */
  readonly format: 'json' | 'plain';
  /** Which of the field's JSON rules it is; -1 for a plain one. */
  readonly index: number;
  readonly list: TestList | undefined;
  /** Whether it holds for a record without data (a tombstone): only a rule that asks for null or for absence does. */
  readonly holdsForNull: boolean;
}

type Format = 'unknown' | 'null' | 'json' | 'plain' | 'neither';

/** A field that holds data, with all rules on it and the verdicts on the present record. */
export class DataField {
  /** Whether the present record's format met a rule for another one. */
  mismatched = false;
  private readonly deliverMismatch: boolean;
  private readonly jsonRules: Alternative[] = [];
  private set: PatternSet = compileAlternatives([]);
  private anyHoldsForNull = false;
  private data: Uint8Array | null = null;
  private format: Format = 'unknown';
  /** Indexes of the JSON rules that hold, by one scan, or undefined before it. */
  private matching: readonly number[] | undefined;

  constructor(mismatch: FormatMismatch) {
    this.deliverMismatch = mismatch === 'deliver';
  }

  /**
   * Adds a rule from conditions on paths inside of the field, '' being the field itself. Undefined for no conditions,
   * null for such as no data can satisfy: a leaf at the field and leaves below it (by a repeated name in the pattern).
   */
  rule(conditions: ReadonlyMap<string, TestList>): DataRule | undefined | null {
    if (conditions.size === 0) return undefined;
    const whole = conditions.get('');
    const inside = new Map([...conditions].filter(([path]) => path !== ''));
    const asksForNull = whole === undefined || whole.absent || (JSON.parse(whole.source) as unknown[]).includes(null);
    if (inside.size === 0) return { format: 'plain', index: -1, list: whole, holdsForNull: asksForNull };
    if (whole !== undefined && !whole.absent) return null;
    const holdsForNull = [...inside.values()].every((list) => list.absent);
    if (holdsForNull) this.anyHoldsForNull = true;
    this.jsonRules.push(inside);
    return { format: 'json', index: this.jsonRules.length - 1, list: undefined, holdsForNull };
  }

  /** Call once, when all rules are there. */
  seal(): void {
    this.set = compileAlternatives(
      this.jsonRules.map((rule) => [rule]),
      { arrayAtTop: true },
    );
  }

  begin(data: Uint8Array | null): void {
    this.data = data;
    this.format = 'unknown';
    this.matching = undefined;
    this.mismatched = false;
  }

  /** Whether `rule` holds for the present record, or is left out because its format differs. */
  holds(rule: DataRule): boolean {
    const { data } = this;
    if (data === null) return rule.holdsForNull;
    if (rule.format === 'plain') {
      if (this.readFormat(data) === 'plain') return acceptsString(rule.list!, data, 0, data.length);
      return this.mismatch();
    }
    if (!mayBeJson(data)) return this.mismatch();
    this.matching ??= this.scan(data);
    const holds = this.matching.includes(rule.index);
    // Whether the bytes that the scan did not read are JSON as well matters only where it would turn the verdict.
    if (holds === this.deliverMismatch || this.readFormat(data) === 'json') return holds;
    return this.mismatch();
  }

  /** For filters that consist of JSON rules on this field only: whether any of them holds. */
  anyJsonRuleHolds(data: Uint8Array | null): boolean {
    this.mismatched = false;
    if (data === null) return this.anyHoldsForNull;
    let holds = false;
    let read = mayBeJson(data);
    try {
      holds = read && this.set.matches(data);
    } catch (error) {
      if (!(error instanceof InvalidEventError)) throw error;
      read = false;
    }
    if (read && holds !== this.deliverMismatch) read = validateJson(data) === undefined;
    return read ? holds : this.mismatch();
  }

  private mismatch(): boolean {
    this.mismatched = true;
    return this.deliverMismatch;
  }

  private scan(data: Uint8Array): readonly number[] {
    try {
      return this.set.matching(data);
    } catch (error) {
      // Not JSON, or nested too deep for any JSON parser that Lambda would use: a plain string.
      if (!(error instanceof InvalidEventError)) throw error;
      this.mismatched = true;
      return [];
    }
  }

  private readFormat(data: Uint8Array): Format {
    if (this.format === 'unknown') {
      if (mayBeJson(data) && validateJson(data) === undefined) this.format = 'json';
      else this.format = isUtf8(data) ? 'plain' : 'neither';
    }
    return this.format;
  }
}

/** Whether the first byte that is no white space opens an object or an array. JSON scalars count as plain strings. */
function mayBeJson(data: Uint8Array): boolean {
  for (let i = 0; i < data.length; i++) {
    const c = data[i]!;
    if (c === 123 || c === 91) return true;
    if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return false;
  }
  return false;
}
