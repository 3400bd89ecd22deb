// EventBridge event patterns: compile once, match bytes.

export { type InvalidEventCode, InvalidEventError, type InvalidPatternCode, InvalidPatternError } from './errors.ts';
export type { ExplainedClause, Explanation } from './explain.ts';
export type { Alternative } from './grammar.ts';
export {
  maximumEventBytes,
  maximumEventDepth,
  maximumSearchSteps,
  maximumSetAlternatives,
  type PatternLimits,
} from './limits.ts';
export {
  compileAlternatives,
  compilePattern,
  compilePatterns,
  type Pattern,
  type PatternSet,
  parsePattern,
  type SetOptions,
} from './pattern.ts';
export { acceptsLiteral, acceptsNumber, acceptsString, literalNull, type TestList } from './tests.ts';
export { isUtf8, validateJson } from './validate.ts';
