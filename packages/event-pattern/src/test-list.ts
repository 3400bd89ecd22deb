// Value lists: from their JSON to the tests of tests.ts.

import { ipv6Groups, parseIpv4, parseIpv6 } from './addresses.ts';
import { Fold } from './fold.ts';
import type { Reading } from './grammar.ts';
import { type JsonNode, sourceOf } from './json-text.ts';
import { comparableNumber } from './numbers.ts';
import {
  everyLiteral,
  literalFalse,
  literalNull,
  literalTrue,
  NumberTest,
  StringTest,
  type TestList,
} from './tests.ts';
import { encodeText } from './utf8.ts';
import { splitWildcard, Wildcard } from './wildcard.ts';

type Draft = { -readonly [K in keyof TestList]: TestList[K] } & { strings: StringTest[]; numbers: NumberTest[] };

/** From this many plain strings on, a list is a hash set. */
const setFrom = 6;

/** Compiles the value list `list`, which stands at `place` in the pattern. */
export function readTestList(reading: Reading, list: JsonNode & { kind: 'array' }, place: string): TestList {
  if (list.items.length === 0) {
    reading.fail('E_EMPTY_LIST', `"${place}" has an empty value list; list at least one value`, place, list);
  }
  const draft: Draft = {
    absent: false,
    literals: 0,
    anyString: false,
    anyNumber: false,
    strings: [],
    numbers: [],
    plain: undefined,
    source: sourceOf(list),
  };
  for (const [n, item] of list.items.entries()) addTest(reading, draft, item, place, `${place}[${n}]`);
  const texts = draft.strings.flatMap((test) => test.exactBytes ?? []);
  const onlyPlain = !draft.anyString && texts.length > 0 && texts.length === draft.strings.length;
  return { ...draft, strings: gatherPlainStrings(draft.strings), plain: onlyPlain ? texts : undefined };
}

function gatherPlainStrings(tests: StringTest[]): StringTest[] {
  const plain = tests.filter((test) => test.exactBytes !== undefined);
  if (plain.length < setFrom) return tests;
  const others = tests.filter((test) => test.exactBytes === undefined);
  return [StringTest.oneOf(plain.map((test) => test.exactBytes!)), ...others];
}

function addTest(reading: Reading, draft: Draft, item: JsonNode, list: string, place: string): void {
  switch (item.kind) {
    case 'string':
      draft.strings.push(plainString(item.value));
      return;
    case 'number': {
      const value = comparableNumber(item.text);
      draft.numbers.push(Number.isNaN(value) ? NumberTest.sameText(encodeText(item.text)) : NumberTest.equal(value));
      return;
    }
    case 'literal':
      draft.literals |= item.value === null ? literalNull : item.value ? literalTrue : literalFalse;
      return;
    case 'array':
      reading.fail('E_NESTED_LIST', `"${list}" holds a list inside its value list`, place, item);
      break;
    default:
      addOperator(reading, draft, item, list, place);
  }
}

/** A bare string that is an IP address literal accepts every spelling of that address. */
function plainString(text: string): StringTest {
  const bytes = encodeText(text);
  const address = parseIpv4(bytes, 0, bytes.length);
  if (address !== -1) return StringTest.network4(address, 32);
  if (parseIpv6(bytes, 0, bytes.length)) return StringTest.network6(ipv6Groups, 128);
  return StringTest.exactly(bytes);
}

function addOperator(
  reading: Reading,
  draft: Draft,
  item: JsonNode & { kind: 'object' },
  list: string,
  place: string,
): void {
  const [member] = item.members;
  if (member === undefined) reading.fail('E_OP_EMPTY', `"${list}" holds an empty operator object`, place, item);
  checkSingle(reading, item, place);
  const { name, value } = member;
  switch (name) {
    case 'exactly':
      draft.strings.push(StringTest.exactly(encodeText(text(reading, name, value, place))));
      return;
    case 'prefix':
    case 'suffix': {
      if (value.kind === 'object') {
        const fold = new Fold(nestedFoldText(reading, name, value, place));
        draft.strings.push(name === 'prefix' ? StringTest.foldPrefix(fold) : StringTest.foldSuffix(fold));
        return;
      }
      const bytes = encodeText(text(reading, name, value, place));
      if (bytes.length === 0) draft.anyString = true;
      draft.strings.push(name === 'prefix' ? StringTest.prefix(bytes) : StringTest.suffix(bytes));
      return;
    }
    case 'equals-ignore-case':
      draft.strings.push(StringTest.foldEquals(new Fold(text(reading, name, value, place))));
      return;
    case 'wildcard':
      draft.strings.push(wildcard(reading, text(reading, name, value, place), value, place));
      return;
    case 'exists':
      if (value.kind !== 'literal' || value.value === null) {
        reading.fail('E_EXISTS_ARG', '"exists" takes true or false', place, value);
      }
      if (value.value) acceptEverything(draft);
      else draft.absent = true;
      return;
    case 'cidr':
      draft.strings.push(network(reading, text(reading, name, value, place), value, place));
      return;
    case 'numeric':
      draft.numbers.push(numeric(reading, value, place));
      return;
    case 'anything-but':
      addAnythingBut(reading, draft, value, place);
      return;
    default:
      reading.fail('E_OP_UNKNOWN', `unknown operator "${name}"`, place, member);
  }
}

function acceptEverything(draft: Draft): void {
  draft.literals = everyLiteral;
  draft.anyString = true;
  draft.anyNumber = true;
}

function checkSingle(reading: Reading, node: JsonNode & { kind: 'object' }, place: string): void {
  if (node.members.length > 1) {
    const message = `an operator object takes one operator, found ${node.members.length}`;
    reading.fail('E_OP_MANY', message, place, node.members[1]!);
  }
}

function text(reading: Reading, operator: string, value: JsonNode, place: string): string {
  if (value.kind !== 'string') return reading.fail('E_STRING_ARG', `"${operator}" takes a string`, place, value);
  return value.value;
}

function nestedFoldText(
  reading: Reading,
  operator: string,
  value: JsonNode & { kind: 'object' },
  place: string,
): string {
  checkSingle(reading, value, place);
  const [member] = value.members;
  if (member?.name !== 'equals-ignore-case' || member.value.kind !== 'string') {
    reading.fail('E_NESTED_OP', `"${operator}" may only nest "equals-ignore-case"`, place, value);
  }
  return member.value.value;
}

function wildcard(reading: Reading, source: string, node: JsonNode, place: string): StringTest {
  const pieces = splitWildcard(source);
  if (!('fault' in pieces)) return StringTest.wildcard(new Wildcard(pieces));
  if (pieces.fault === 'stars') {
    reading.fail('E_WILDCARD_STARS', `consecutive "*" at character ${pieces.at + 1} of the wildcard`, place, node);
  }
  return reading.fail('E_WILDCARD_ESCAPE', 'a backslash in a wildcard may only escape "*" or "\\"', place, node);
}

function network(reading: Reading, source: string, node: JsonNode, place: string): StringTest {
  const [address = '', bits = '', ...more] = source.split('/');
  if (address === '' || bits === '' || more.length > 0) {
    reading.fail('E_CIDR_FORM', '"cidr" is written address/bits', place, node);
  }
  const bytes = encodeText(address);
  const ipv4 = parseIpv4(bytes, 0, bytes.length);
  if (ipv4 === -1 && !parseIpv6(bytes, 0, bytes.length)) {
    reading.fail('E_CIDR_ADDRESS', `"${address}" is not an IP address`, place, node);
  }
  const maximum = ipv4 === -1 ? 127 : 31;
  // A single address is a plain value, hence not /32 or /128.
  if (!/^[0-9]{1,9}$/.test(bits) || Number(bits) > maximum) {
    reading.fail('E_CIDR_BITS', `the prefix length must be 0..${maximum}`, place, node);
  }
  return ipv4 === -1 ? StringTest.network6(ipv6Groups, Number(bits)) : StringTest.network4(ipv4, Number(bits));
}

function comparable(reading: Reading, node: JsonNode & { kind: 'number' }, place: string): number {
  const value = comparableNumber(node.text);
  if (Number.isNaN(value)) {
    const message = `${node.text} cannot be represented exactly as a 64-bit float`;
    return reading.fail('E_NUM_PRECISION', message, place, node);
  }
  return value;
}

function numeric(reading: Reading, node: JsonNode, place: string): NumberTest {
  const shape = '"numeric" takes a list such as ["<", 5]';
  if (node.kind !== 'array') return reading.fail('E_NUM_LIST', shape, place, node);
  const [first, firstBound, second, secondBound] = node.items;
  if (first?.kind !== 'string') return reading.fail('E_NUM_LIST', shape, place, first ?? node);
  if (!['=', '<', '<=', '>', '>='].includes(first.value)) {
    return reading.fail('E_NUM_OP', `unknown numeric operator ${JSON.stringify(first.value)}`, place, first);
  }
  const bound = (operator: string, value: JsonNode | undefined): number => {
    if (value?.kind === 'number') return comparable(reading, value, place);
    return reading.fail('E_NUM_VALUE', `the bound of "${operator}" must be a number`, place, value ?? node);
  };
  const low = bound(first.value, firstBound);
  const range = 'a range is written [">" or ">=", low, "<" or "<=", high]';
  if (second === undefined) {
    if (first.value === '=') return NumberTest.equal(low);
    if (first.value.startsWith('<')) return NumberTest.range(-Infinity, false, low, first.value === '<');
    return NumberTest.range(low, first.value === '>', Infinity, false);
  }
  if (!first.value.startsWith('>')) return reading.fail('E_NUM_SHAPE', range, place, second);
  if (second.kind !== 'string' || (second.value !== '<' && second.value !== '<=')) {
    return reading.fail('E_NUM_SHAPE', range, place, second);
  }
  const high = bound(second.value, secondBound);
  if (node.items.length > 4) return reading.fail('E_NUM_SHAPE', range, place, node.items[4]!);
  if (!(low < high)) {
    return reading.fail('E_NUM_ORDER', 'the lower bound must be less than the upper bound', place, second);
  }
  return NumberTest.range(low, first.value === '>', high, second.value === '<');
}

function addAnythingBut(reading: Reading, draft: Draft, value: JsonNode, place: string): void {
  const takes = '"anything-but" takes a string, a number, a list of either, or one nested operator';
  if (value.kind === 'literal') reading.fail('E_AB_ARG', takes, place, value);
  draft.literals = everyLiteral;
  if (value.kind === 'object') {
    draft.anyNumber = true;
    draft.strings.push(StringTest.butNot(nestedExclusions(reading, value, place, takes)));
    return;
  }
  const items = value.kind === 'array' ? value.items : [value];
  if (items.length === 0) reading.fail('E_AB_EMPTY', '"anything-but" has an empty list', place, value);
  const other = items.find((item) => item.kind !== 'string' && item.kind !== 'number');
  if (other) reading.fail('E_AB_ITEM', 'an "anything-but" list holds strings or numbers', place, other);
  const strings = items.filter((item) => item.kind === 'string');
  const numbers = items.filter((item) => item.kind === 'number');
  if (strings.length > 0 && numbers.length > 0) {
    reading.fail('E_AB_MIXED', 'an "anything-but" list holds strings only or numbers only', place, value);
  }
  if (numbers.length > 0) {
    draft.anyString = true;
    draft.numbers.push(NumberTest.butNot(numbers.map((item) => comparable(reading, item, place))));
  } else {
    draft.anyNumber = true;
    const excluded = strings.map((item) => StringTest.exactly(encodeText(item.value)));
    draft.strings.push(StringTest.butNot(gatherPlainStrings(excluded)));
  }
}

function nestedExclusions(
  reading: Reading,
  node: JsonNode & { kind: 'object' },
  place: string,
  takes: string,
): StringTest[] {
  const [member] = node.members;
  if (member === undefined) return reading.fail('E_AB_ARG', takes, place, node);
  checkSingle(reading, node, place);
  const { name, value } = member;
  // Read as a rule from before "$or" was an operator, the language had no wildcard and no lists of affixes here.
  const known = reading.orIsOperator
    ? ['prefix', 'suffix', 'equals-ignore-case', 'wildcard']
    : ['prefix', 'suffix', 'equals-ignore-case'];
  const refuse = (): never =>
    reading.fail('E_AB_NESTED', `"anything-but" cannot be combined with "${name}"`, place, member);
  if (!known.includes(name)) return refuse();
  if (value.kind === 'object') return refuse();
  if (value.kind === 'array' && !reading.orIsOperator && name !== 'equals-ignore-case') return refuse();
  const items = value.kind === 'array' ? value.items : [value];
  if (items.length === 0) reading.fail('E_AB_EMPTY', '"anything-but" has an empty list', place, value);
  return items.map((item) => {
    if (item.kind !== 'string') {
      if (item === value) return reading.fail('E_STRING_ARG', `"${name}" takes a string`, place, item);
      return reading.fail('E_AB_ITEM', `an "anything-but" list holds strings or numbers`, place, item);
    }
    const operand = item.value;
    if (operand === '' && (name === 'prefix' || name === 'suffix')) {
      const message = `"anything-but" with an empty ${name} excludes every string`;
      return reading.fail('E_AB_EMPTY_AFFIX', message, place, item);
    }
    if (name === 'prefix') return StringTest.prefix(encodeText(operand));
    if (name === 'suffix') return StringTest.suffix(encodeText(operand));
    if (name === 'wildcard') return wildcard(reading, operand, item, place);
    return StringTest.foldEquals(new Fold(operand));
  });
}
