import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePattern, compilePatterns, InvalidEventError, InvalidPatternError, validateJson } from '../src/index.ts';
import { comparable, flatten, oracleMatches, parseJson } from './oracle.ts';
import { patternOn, Random, randomEvent, randomPattern } from './random.ts';

// EVENT_PATTERN_PAIRS=5000000 EVENT_PATTERN_SEED=7 npm test -- event-pattern/test/differential
const pairs = Number(process.env.EVENT_PATTERN_PAIRS ?? 100_000);
const seed = Number(process.env.EVENT_PATTERN_SEED ?? 1);

/** Whether a name is repeated, or one path spelt by two chains of names: then which of them decides is not defined. */
function repeatsAPath(event: string): boolean {
  const chains = new Map<string, string>();
  let repeats = false;
  const visit = (node: ReturnType<typeof parseJson>, path: string[], joined: string): void => {
    if (node.kind === 'object') {
      if (new Set(node.members.map(([name]) => name)).size < node.members.length) repeats = true;
      for (const [name, value] of node.members)
        visit(value, [...path, name], path.length === 0 ? name : `${joined}.${name}`);
    } else if (node.kind === 'array') {
      for (const item of node.items) visit(item, path, joined);
    }
    if (node.kind !== 'object' && path.length > 0) {
      const chain = JSON.stringify(path);
      if ((chains.get(joined) ?? chain) !== chain) repeats = true;
      chains.set(joined, chain);
    }
  };
  visit(parseJson(event), [], '');
  return repeats;
}

function textOf(leaf: ReturnType<typeof parseJson>): string {
  return leaf.kind === 'number' ? leaf.text : JSON.stringify((leaf as { value: unknown }).value);
}

/** A random pattern with no more alternatives than the slow interpreter can bear. */
function boundedPattern(random: Random): string {
  for (;;) {
    const pattern = randomPattern(random);
    try {
      compilePattern(pattern, { maximumAlternatives: 60 });
      return pattern;
    } catch (error) {
      if (!(error instanceof InvalidPatternError) || error.code !== 'E_TOO_MANY_ALTERNATIVES') throw error;
    }
  }
}

const hasIncomparable = (event: string): boolean =>
  (event.replace(/"(?:[^"\\]|\\.)*"/g, '""').match(/-?[0-9][0-9.eE+-]*/g) ?? []).some(
    (number) => comparable(number) === undefined,
  );

test(`the scanner and a literal interpreter agree on ${pairs} random pairs (seed ${seed})`, () => {
  const random = new Random(seed);
  const bytesOf = new TextEncoder();
  let matched = 0;
  let done = 0;
  while (done < pairs) {
    const first = randomEvent(random);
    const leaves = flatten(parseJson(first)).map(({ path, value }) => ({ path, text: textOf(value) }));
    const patterns = Array.from({ length: 4 }, () =>
      leaves.length > 0 && random.chance(0.7) ? patternOn(random, leaves) : boundedPattern(random),
    );
    const compiled = patterns.map((pattern) => compilePattern(pattern));
    const set = compilePatterns(patterns);
    for (let n = 0; n < 4; n++) {
      const event = n === 0 ? first : randomEvent(random);
      if (repeatsAPath(event)) continue;
      const bytes = bytesOf.encode(event);
      const parsed = hasIncomparable(event) ? undefined : (JSON.parse(event) as object);
      const verdicts = patterns.map((pattern) => oracleMatches(pattern, event));
      for (const [index, verdict] of verdicts.entries()) {
        const context = () => `pattern ${patterns[index]}\nevent ${event}\nexpected ${verdict}`;
        const pattern = compiled[index]!;
        if (pattern.matches(bytes) !== verdict) assert.fail(`bytes: ${context()}`);
        if (pattern.explain(event).matched !== verdict) assert.fail(`explain: ${context()}`);
        if (n === 0 && pattern.matches(event) !== verdict) assert.fail(`text: ${context()}`);
        if (parsed && pattern.matchesValue(parsed) !== verdict) assert.fail(`value: ${context()}`);
        done++;
        if (verdict) matched++;
      }
      const expected = verdicts.flatMap((verdict, index) => (verdict ? [index] : []));
      assert.deepEqual(set.matching(bytes), expected, `set of ${patterns.join('\n')}\nevent ${event}`);
      assert.equal(set.matches(bytes), expected.length > 0, `any of ${patterns.join('\n')}\nevent ${event}`);
      if (parsed) assert.deepEqual(set.matchingValue(parsed), expected);
    }
  }
  // Either verdict must be common, or the test would show little.
  assert.ok(matched > done * 0.1 && matched < done * 0.9, `${matched} of ${done} match`);
});

test('a large set, and "$or" of as many branches, decide as each pattern does alone', () => {
  const random = new Random(seed + 2);
  let matched = 0;
  for (let round = 0; round < Math.min(pairs / 500, 2000); round++) {
    const first = randomEvent(random);
    const leaves = flatten(parseJson(first)).map(({ path, value }) => ({ path, text: textOf(value) }));
    if (leaves.length === 0) continue;
    // Few paths and many patterns, so that dozens of conditions meet at one path.
    const few = Array.from({ length: 4 }, () => random.pick(leaves));
    const patterns = Array.from({ length: 33 + random.below(80) }, () => patternOn(random, few));
    const alone = patterns.map((pattern) => compilePattern(pattern));
    const set = compilePatterns(patterns);
    const branches = compilePattern(`{"$or":[${patterns.join()}]}`);
    for (let n = 0; n < 12; n++) {
      const event =
        n < 4 ? first.replaceAll('a', () => random.pick(['a', 'a', 'b'])) : n < 6 ? first : randomEvent(random);
      if (validateJson(event) !== undefined || repeatsAPath(event)) continue;
      const expected = alone.flatMap((pattern, index) => (pattern.matches(event) ? [index] : []));
      assert.deepEqual(set.matching(event), expected, `${patterns.join('\n')}\n${event}`);
      assert.equal(set.matches(event), expected.length > 0, `${patterns.join('\n')}\n${event}`);
      assert.equal(branches.matches(event), expected.length > 0, `${patterns.join('\n')}\n${event}`);
      matched += expected.length;
    }
  }
  assert.ok(matched > 1000);
});

test('what is read is checked: a scan to the end accepts exactly what JSON.parse accepts', () => {
  const random = new Random(seed + 1);
  const neverThere = compilePattern('{"never there":["x"]}');
  let invalid = 0;
  const rounds = Math.min(pairs, 40_000);
  for (let n = 0; n < rounds; n++) {
    let text = randomEvent(random);
    for (let edits = random.below(3); edits > 0; edits--) {
      const at = random.below(text.length + 1);
      const insert = random.pick(['', ...'{}[]",:\\0123.eE+-tfn/u \n\u0000\u001fé']);
      text = text.slice(0, at) + insert + text.slice(at + random.below(2));
    }
    if (!text.isWellFormed()) continue;
    let valid = true;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      valid = false;
      invalid++;
    }
    const fault = validateJson(text);
    assert.equal(fault === undefined, valid, `${text}\n${fault?.message}`);
    const isObject = valid && typeof value === 'object' && value !== null && !Array.isArray(value);
    if (isObject) assert.equal(neverThere.matches(text), false);
    else assert.throws(() => neverThere.matches(text), InvalidEventError, text);
  }
  assert.ok(invalid > rounds / 4, `${invalid} invalid`);
});
