// The grammar of a pattern, from its text to its alternatives.
//
//   pattern     = object of 1.. members
//   member      = name ":" pattern                    descend one level
//               | name ":" "[" test {"," test} "]"     a condition on that path
//               | "$or" ":" "[" branch "," branch {"," branch} "]"
//
// "$or" means its expansion: every member extends each alternative so far, in the order in which members are written,
// and a condition replaces what an alternative already had at that path.

import { type InvalidPatternCode, InvalidPatternError } from './errors.ts';
import { type JsonMember, type JsonNode, readJson, sourceOf } from './json-text.ts';
import type { PatternLimits } from './limits.ts';
import { readTestList } from './test-list.ts';
import type { TestList } from './tests.ts';

/** One way to match: a test list for each path, all of which must hold together. */
export type Alternative = ReadonlyMap<string, TestList>;

/** Names that may not be fields inside a branch of `$or`: today's operators, and those event-ruler keeps for later. */
const reservedNames = new Set([
  'exactly',
  'equals-ignore-case',
  'prefix',
  'suffix',
  'anything-but',
  'exists',
  'wildcard',
  'numeric',
  'cidr',
  '=',
  '<',
  '<=',
  '>',
  '>=',
  'regex',
  'not-wildcard',
  'not-equals-ignore-case',
  'date-after',
  'date-on-or-after',
  'date-before',
  'date-on-or-before',
  'in-date-range',
  'ip-address-in-range',
  'ip-address-not-in-range',
]);

/** What the readers of one pattern share. */
export interface Reading {
  readonly text: string;
  readonly limits: Required<PatternLimits>;
  /** Whether `$or` is the operator; else it is an ordinary name, as in rules older than the operator. */
  readonly orIsOperator: boolean;
  fail(code: InvalidPatternCode, message: string, path: string, node: { readonly position: number }): never;
}

/** Compiles pattern text to its alternatives. Throws InvalidPatternError. */
export function readPattern(text: string, limits: Required<PatternLimits>): Alternative[] {
  if (text.length > limits.maximumLength) {
    const message = `a pattern may have at most ${limits.maximumLength} characters, not ${text.length}`;
    throw new InvalidPatternError('E_TOO_LONG', message, '', text, 0);
  }
  const root = readJson(text, limits.maximumDepth);
  try {
    return readAlternatives(root, text, limits, true);
  } catch (error) {
    // A rule from before the operator may have a field called "$or". It is refused with what the first reading says.
    if (!(error instanceof InvalidPatternError) || !namesOr(root)) throw error;
    try {
      return readAlternatives(root, text, limits, false);
    } catch {
      throw error;
    }
  }
}

function namesOr(node: JsonNode): boolean {
  return node.kind === 'object' && node.members.some((member) => member.name === '$or' || namesOr(member.value));
}

function readAlternatives(
  root: JsonNode,
  text: string,
  limits: Required<PatternLimits>,
  orIsOperator: boolean,
): Alternative[] {
  const reading: Reading = {
    text,
    limits,
    orIsOperator,
    fail(code, message, path, node) {
      throw new InvalidPatternError(code, message, path, text, node.position);
    },
  };
  if (root.kind !== 'object') reading.fail('E_NOT_OBJECT', 'a pattern must be a JSON object', '', root);
  if (orIsOperator) {
    const count = countAlternatives(root);
    if (count > limits.maximumAlternatives) {
      const message = `"$or" expands to ${count} combinations; the limit is ${limits.maximumAlternatives}`;
      reading.fail('E_TOO_MANY_ALTERNATIVES', message, '', root);
    }
  }
  const alternatives = extend(reading, [new Map()], root, undefined, '', false);
  for (const alternative of alternatives) {
    if (alternative.size > limits.maximumFields) {
      reading.fail('E_TOO_MANY_FIELDS', `a pattern may test at most ${limits.maximumFields} fields`, '', root);
    }
  }
  return alternatives;
}

/** Π over members × Π over "$or" (Σ over branches); saturates at Infinity. */
function countAlternatives(node: JsonNode): number {
  if (node.kind !== 'object') return 1;
  let count = 1;
  for (const { name, value } of node.members) {
    if (name === '$or' && value.kind === 'array') {
      count *= Math.max(
        value.items.reduce((sum, branch) => sum + countAlternatives(branch), 0),
        1,
      );
    } else {
      count *= countAlternatives(value);
    }
  }
  return count;
}

function extend(
  reading: Reading,
  alternatives: Map<string, TestList>[],
  node: JsonNode & { kind: 'object' },
  /** Field names joined with dots, what conditions are kept under; undefined at the top, where "" is a field's name. */
  path: string | undefined,
  /** The same with "$or" and the numbers of its branches: where an error is. */
  place: string,
  inBranch: boolean,
): Map<string, TestList>[] {
  if (node.members.length === 0) {
    const what = place === '' ? 'the pattern' : `"${place}"`;
    reading.fail('E_EMPTY_OBJECT', `${what} is an empty object; name at least one field`, place, node);
  }
  for (const member of node.members) {
    alternatives = extendByMember(reading, alternatives, member, path, place, inBranch);
  }
  return alternatives;
}

function extendByMember(
  reading: Reading,
  alternatives: Map<string, TestList>[],
  { name, position, value }: JsonMember,
  path: string | undefined,
  place: string,
  inBranch: boolean,
): Map<string, TestList>[] {
  const memberPlace = place === '' ? name : `${place}.${name}`;
  if (reading.orIsOperator && name === '$or') return extendByOr(reading, alternatives, value, path, memberPlace);
  if (reading.orIsOperator && inBranch && reservedNames.has(name)) {
    const message = `"${name}" is reserved and cannot be a field name inside "$or"`;
    reading.fail('E_OR_RESERVED', message, memberPlace, { position });
  }
  const memberPath = path === undefined ? name : `${path}.${name}`;
  if (name.includes('.') && memberPath.split('.').length > reading.limits.maximumDepth) {
    const message = `a path has more than ${reading.limits.maximumDepth} names`;
    reading.fail('E_TOO_DEEP', message, '', { position });
  }
  if (value.kind === 'object') return extend(reading, alternatives, value, memberPath, memberPlace, inBranch);
  if (value.kind !== 'array') {
    const text = sourceOf(value);
    const message = `"${memberPlace}" must be a list of values or an object; write [${text}], not ${text}`;
    reading.fail('E_LEAF_NOT_LIST', message, memberPlace, value);
  }
  const tests = readTestList(reading, value, memberPlace);
  for (const alternative of alternatives) alternative.set(memberPath, tests);
  return alternatives;
}

function extendByOr(
  reading: Reading,
  base: Map<string, TestList>[],
  value: JsonNode,
  path: string | undefined,
  place: string,
): Map<string, TestList>[] {
  if (value.kind !== 'array') reading.fail('E_OR_SHAPE', '"$or" takes a list of objects', place, value);
  for (const [n, branch] of value.items.entries()) {
    if (branch.kind !== 'object') reading.fail('E_OR_SHAPE', '"$or" takes a list of objects', `${place}[${n}]`, branch);
  }
  if (value.items.length < 2) reading.fail('E_OR_FEW', '"$or" needs at least two branches', place, value);
  return value.items.flatMap((branch, n) => {
    const copies = base.map((alternative) => new Map(alternative));
    return extend(reading, copies, branch as JsonNode & { kind: 'object' }, path, `${place}[${n}]`, true);
  });
}
