/** A filter pattern cannot be used; the message is CloudWatch's. */
export class FilterPatternError extends Error {}

/**
 * CloudWatch Logs' filter patterns for unstructured text: terms that must all occur, `"exact phrases"`, `-terms` that must
 * not, `?terms` of which one is enough. Case counts. Patterns for JSON (`{ $.a = 1 }`) and for columns (`[a, b]`) are
 * refused by name.
 */
export function compileFilterPattern(pattern: string): (message: string) => boolean {
  const trimmed = pattern.trim();
  if (/^[{[]/.test(trimmed)) {
    throw new FilterPatternError('Invalid filter pattern: patterns for JSON and for columns are not supported here');
  }
  const all: string[] = [];
  const none: string[] = [];
  const any: string[] = [];
  for (const [, sign, phrase, word] of trimmed.matchAll(/([-?]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))/g)) {
    const term = phrase === undefined ? word! : phrase.replace(/\\(.)/g, '$1');
    if (phrase === undefined && term.includes('"'))
      throw new FilterPatternError('Invalid filter pattern: unbalanced quotes');
    (sign === '-' ? none : sign === '?' ? any : all).push(term);
  }
  return (message) =>
    all.every((term) => message.includes(term)) &&
    !none.some((term) => message.includes(term)) &&
    (any.length === 0 || all.length > 0 || any.some((term) => message.includes(term)));
}
