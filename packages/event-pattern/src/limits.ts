/** What a pattern may cost. Every limit has a default; an excess is an error that names it, never slowness. */
export interface PatternLimits {
  /** Longest pattern text in UTF-16 code units. Default 262,144; Lambda's `Filter.Pattern` allows 4,096. */
  readonly maximumLength?: number;
  /** Deepest nesting of a pattern. Default 1,000. */
  readonly maximumDepth?: number;
  /** Most paths that one alternative may test. Default 256, event-ruler's limit. */
  readonly maximumFields?: number;
  /** Most alternatives that the `$or` of one pattern may expand to. Default 1,000, EventBridge's limit. */
  readonly maximumAlternatives?: number;
}

export const defaultLimits: Required<PatternLimits> = {
  maximumLength: 262_144,
  maximumDepth: 1_000,
  maximumFields: 256,
  maximumAlternatives: 1_000,
};

/** Most alternatives that the patterns of one set may have together; beyond, compiling throws RangeError. */
export const maximumSetAlternatives = 16_384;

/** Deepest nesting of an event; deeper ones throw `InvalidEventError` (`too-deep`). Jackson, hence event-ruler, has the same. */
export const maximumEventDepth = 1_000;

/** Longest event in bytes; longer ones throw `InvalidEventError` (`too-large`). */
export const maximumEventBytes = 16 * 1024 * 1024;

/** Most steps of the search that repeated paths inside arrays need; beyond, `InvalidEventError` (`too-complex`). */
export const maximumSearchSteps = 1_000_000;

/** The limits with defaults filled in; throws RangeError for one that is no positive integer. */
export function resolveLimits(limits: PatternLimits = {}): Required<PatternLimits> {
  const resolved = { ...defaultLimits };
  for (const name of Object.keys(defaultLimits) as (keyof PatternLimits)[]) {
    const value = limits[name];
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name} must be an integer of 1 or more`);
    resolved[name] = value;
  }
  return resolved;
}
