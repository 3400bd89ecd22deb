/** Stable codes of what a pattern can be refused for. The text of a message may change, its code does not. */
export type InvalidPatternCode =
  | 'E_JSON'
  | 'E_NOT_OBJECT'
  | 'E_EMPTY_OBJECT'
  | 'E_EMPTY_LIST'
  | 'E_LEAF_NOT_LIST'
  | 'E_NESTED_LIST'
  | 'E_OP_EMPTY'
  | 'E_OP_MANY'
  | 'E_OP_UNKNOWN'
  | 'E_STRING_ARG'
  | 'E_NESTED_OP'
  | 'E_WILDCARD_STARS'
  | 'E_WILDCARD_ESCAPE'
  | 'E_EXISTS_ARG'
  | 'E_NUM_LIST'
  | 'E_NUM_OP'
  | 'E_NUM_VALUE'
  | 'E_NUM_SHAPE'
  | 'E_NUM_ORDER'
  | 'E_NUM_PRECISION'
  | 'E_AB_ARG'
  | 'E_AB_EMPTY'
  | 'E_AB_MIXED'
  | 'E_AB_ITEM'
  | 'E_AB_NESTED'
  | 'E_AB_EMPTY_AFFIX'
  | 'E_CIDR_FORM'
  | 'E_CIDR_ADDRESS'
  | 'E_CIDR_BITS'
  | 'E_OR_SHAPE'
  | 'E_OR_FEW'
  | 'E_OR_RESERVED'
  | 'E_TOO_DEEP'
  | 'E_TOO_MANY_FIELDS'
  | 'E_TOO_MANY_ALTERNATIVES'
  | 'E_TOO_LONG';

/** A pattern that cannot be compiled: what is wrong, and where in its text. */
export class InvalidPatternError extends Error {
  override readonly name = 'InvalidPatternError';
  readonly code: InvalidPatternCode;
  /** Where in the pattern's structure, such as `value.tire.psi[0]`; empty for the pattern as a whole. */
  readonly path: string;
  /** Offset of the offending place in the text, in UTF-16 code units, from 0. */
  readonly position: number;
  /** Line of that place, from 1. */
  readonly line: number;
  /** Column of that place in its line, in UTF-16 code units, from 1. */
  readonly column: number;

  constructor(code: InvalidPatternCode, message: string, path: string, text: string, position: number) {
    super(path === '' ? message : `${message} (at ${path})`);
    this.code = code;
    this.path = path;
    this.position = position;
    const before = text.slice(0, position);
    this.line = before.split('\n').length;
    this.column = position - before.lastIndexOf('\n');
  }
}

export type InvalidEventCode =
  /** Not JSON at this position. */
  | 'syntax'
  /** Bytes that are not UTF-8. */
  | 'utf8'
  /** JSON, but no object at the top. */
  | 'not-an-object'
  /** Nested deeper than the limit. */
  | 'too-deep'
  /** Longer than the limit. */
  | 'too-large'
  /** Repeated paths in arrays of objects leave more combinations to try than the limit. */
  | 'too-complex';

/** An event that cannot be judged. */
export class InvalidEventError extends Error {
  override readonly name = 'InvalidEventError';
  readonly code: InvalidEventCode;
  /** Offset of the offending byte in the event's UTF-8, from 0. */
  readonly position: number;

  constructor(code: InvalidEventCode, message: string, position: number) {
    super(`${message} (at byte ${position})`);
    this.code = code;
    this.position = position;
  }
}
