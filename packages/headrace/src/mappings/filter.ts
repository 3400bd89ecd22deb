// Lambda's rules around event patterns: which part of a record a filter sees, in which format, and what AWS answers to
// criteria it does not accept. The language itself is @headrace/event-pattern.

import { type Alternative, InvalidPatternError, parsePattern, type TestList } from '@headrace/event-pattern';
import { DataField, type DataRule, type FormatMismatch } from './filter-data.ts';
import { type HeaderRule, headerRule, type MetadataRule, metadataNames, metadataRule } from './filter-metadata.ts';
import type { FilterRecord, RecordFilter } from './filter-record.ts';

export type { FilterRecord, RecordFilter } from './filter-record.ts';

/** `FilterCriteria` as in CreateEventSourceMapping. */
export interface FilterCriteria {
  readonly Filters?: readonly { readonly Pattern?: string | undefined }[] | undefined;
}

export interface FilterOptions {
  /** Most filters a mapping may have. Default 5, Lambda's quota; AWS raises it to 10 on request. */
  readonly maximumFilters?: number;
  /**
   * What becomes of a record whose data has another format than the rule for it: JSON for an object rule, a plain string
   * for a list rule. `drop` (default) is what Lambda was measured to do with Kafka records; `deliver` is what its
   * documentation says literally: the rule is left out, and the others decide.
   */
  readonly formatMismatch?: FormatMismatch;
}

/** Criteria that Lambda refuses. `message` is Lambda's own where it is known; `detail` says what is wrong and where. */
export class InvalidFilterError extends Error {
  override readonly name = 'InvalidFilterError';
  readonly exception: 'InvalidParameterValueException' | 'ValidationException';
  /** Index in `Filters`, or -1 when it is not about one of them. */
  readonly filter: number;
  readonly detail: string;

  constructor(exception: InvalidFilterError['exception'], message: string, filter: number, detail: string) {
    super(message);
    this.exception = exception;
    this.filter = filter;
    this.detail = detail;
  }
}

/** Longest `Pattern` in characters. https://docs.aws.amazon.com/lambda/latest/api/API_Filter.html */
const maximumPatternLength = 4096;
const defaultMaximumFilters = 5;

/** One way for a record to pass: every rule must hold. */
interface RecordAlternative {
  readonly metadata: readonly MetadataRule[];
  readonly headers: HeaderRule | undefined;
  readonly key: DataRule | undefined;
  readonly value: DataRule | undefined;
}

/**
 * Validates and compiles the filters of a mapping. Returns undefined when there is none, so that everything passes.
 * Throws InvalidFilterError.
 */
export function compileFilterCriteria(
  filterCriteria: FilterCriteria | undefined,
  options: FilterOptions = {},
): RecordFilter | undefined {
  const filters = filterCriteria?.Filters ?? [];
  if (filters.length === 0) return undefined;
  const maximum = options.maximumFilters ?? defaultMaximumFilters;
  if (filters.length > maximum) {
    const message = `The number of filters must be less than or equal to ${maximum}.`;
    throw new InvalidFilterError('InvalidParameterValueException', message, -1, `there are ${filters.length} filters`);
  }
  const mismatch = options.formatMismatch ?? 'drop';
  const key = new DataField(mismatch);
  const value = new DataField(mismatch);
  const warnings: string[] = [];
  const alternatives = filters.flatMap(({ Pattern }, index) => {
    const parsed = parseFilter(Pattern, index);
    const possible = parsed.flatMap((alternative) => recordAlternative(alternative, key, value) ?? []);
    if (possible.length === 0) warnings.push(neverMatches(index, parsed));
    return possible;
  });
  key.seal();
  value.seal();
  return new CompiledRecordFilter(alternatives, key, value, warnings);
}

function parseFilter(pattern: string | undefined, filter: number): Alternative[] {
  if (pattern !== undefined && pattern.length > maximumPatternLength) {
    const member = `filterCriteria.filters.${filter + 1}.member.pattern`;
    const constraint = `Member must have length less than or equal to ${maximumPatternLength}`;
    const message = `1 validation error detected: Value '${pattern}' at '${member}' failed to satisfy constraint: ${constraint}`;
    throw new InvalidFilterError('ValidationException', message, filter, `it has ${pattern.length} characters`);
  }
  const message = 'Invalid filter pattern definition.';
  if (pattern === undefined) {
    throw new InvalidFilterError('InvalidParameterValueException', message, filter, 'it has no Pattern');
  }
  try {
    return parsePattern(pattern);
  } catch (error) {
    if (!(error instanceof InvalidPatternError)) throw error;
    throw new InvalidFilterError('InvalidParameterValueException', message, filter, error.message);
  }
}

/** The alternative sorted by what its conditions look at, or undefined when no Kafka record can satisfy it. */
function recordAlternative(alternative: Alternative, key: DataField, value: DataField): RecordAlternative | undefined {
  const metadata: MetadataRule[] = [];
  const headers = new Map<string, TestList>();
  const keyConditions = new Map<string, TestList>();
  const valueConditions = new Map<string, TestList>();
  for (const [path, list] of alternative) {
    const [top = ''] = path.split('.', 1);
    if (top === 'value') valueConditions.set(path.slice(top.length + 1), list);
    else if (top === 'key') keyConditions.set(path.slice(top.length + 1), list);
    else if (top === 'headers' && path !== top) headers.set(path, list);
    else if (metadataNames.has(path)) metadata.push(metadataRule(path, list));
    // No record has a leaf at any other path: absence is all that can be asked for there.
    else if (!list.absent) return undefined;
  }
  const keyRule = key.rule(keyConditions);
  const valueRule = value.rule(valueConditions);
  if (keyRule === null || valueRule === null) return undefined;
  return { metadata, headers: headerRule(headers), key: keyRule, value: valueRule };
}

function neverMatches(filter: number, alternatives: readonly Alternative[]): string {
  const known = new Set([...metadataNames, 'key', 'value', 'headers']);
  const unknown = new Set(
    alternatives.flatMap((alternative) => [...alternative.keys()].filter((path) => !known.has(path.split('.', 1)[0]!))),
  );
  const names = unknown.size > 0 ? `: a record has no ${[...unknown].map((path) => `"${path}"`).join(', ')}` : '';
  return `Filters[${filter}]: the pattern can never match a Kafka record${names} (it has ${[...known].join(', ')})`;
}

class CompiledRecordFilter implements RecordFilter {
  readonly warnings: readonly string[];
  readonly needsKey: boolean;
  readonly needsMetadata: boolean;
  formatMismatches = 0;
  private readonly alternatives: readonly RecordAlternative[];
  private readonly key: DataField;
  private readonly value: DataField;
  /** Every alternative is one JSON rule on the value: a single scan tells all. */
  private readonly valueAlone: boolean;

  constructor(
    alternatives: readonly RecordAlternative[],
    key: DataField,
    value: DataField,
    warnings: readonly string[],
  ) {
    this.alternatives = alternatives;
    this.key = key;
    this.value = value;
    this.warnings = warnings;
    this.needsKey = alternatives.some((alternative) => alternative.key !== undefined);
    this.needsMetadata = alternatives.some(({ metadata, headers }) => metadata.length > 0 || headers !== undefined);
    this.valueAlone =
      !this.needsKey && !this.needsMetadata && alternatives.every(({ value }) => value?.format === 'json');
  }

  matches(record: FilterRecord): boolean {
    const passes = this.valueAlone ? this.value.anyJsonRuleHolds(record.value) : this.anyAlternativeHolds(record);
    if (this.value.mismatched || this.key.mismatched) this.formatMismatches++;
    return passes;
  }

  private anyAlternativeHolds(record: FilterRecord): boolean {
    this.key.begin(record.key);
    this.value.begin(record.value);
    const { alternatives } = this;
    for (let n = 0; n < alternatives.length; n++) if (this.holds(alternatives[n]!, record)) return true;
    return false;
  }

  private holds(alternative: RecordAlternative, record: FilterRecord): boolean {
    const { metadata, key, value, headers } = alternative;
    for (let n = 0; n < metadata.length; n++) if (!metadata[n]!.holds(record)) return false;
    if (key !== undefined && !this.key.holds(key)) return false;
    if (value !== undefined && !this.value.holds(value)) return false;
    return headers === undefined || headers.holds(record);
  }
}
