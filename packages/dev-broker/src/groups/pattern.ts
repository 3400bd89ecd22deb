import { createContext, Script } from 'node:vm';

/** A peer's regular expression may take so long, all topics together; one that backtracks without end is refused. */
const LIMIT_MS = 100;
const matching = new Script(
  '(() => { const expression = new RegExp("^(?:" + pattern + ")$"); return names.filter((name) => expression.test(name)); })()',
);

/**
 * The names that match a whole regular expression, undefined when it is none or takes too long. Apache Kafka reads RE2;
 * this is JavaScript's dialect.
 */
export function matchingNames(pattern: string, names: readonly string[]): string[] | undefined {
  try {
    const found = matching.runInContext(createContext({ pattern, names: [...names] }), {
      timeout: LIMIT_MS,
    }) as string[];
    return [...found];
  } catch {
    // Not a regular expression, or one that does not come to an end: either way the caller tells the peer.
    return undefined;
  }
}
