// Seeded random patterns and events from pools small enough to meet each other.

/** mulberry32: the same numbers everywhere for a seed. */
export class Random {
  private state: number;
  constructor(seed: number) {
    this.state = seed | 0;
  }
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  below(n: number): number {
    return Math.floor(this.next() * n);
  }
  chance(p: number): boolean {
    return this.next() < p;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

const names = ['a', 'b', 'c', 'ab', 'a.b', 'b.c', 'a.b.c', 'é', 'k"q', '𝕏', 'long_member_name_number_one', ''];
const texts = [
  '', 'a', 'ab', 'abc', 'abcabc', 'b', 'c', 'A', 'AB', 'aB', 'Ab', 'ABC', 'cab', 'a*b', 'a\\b', '*', '\\', 'a\nb',
  'é', 'É', 'e\u0301', 'ß', 'SS', 'ss', 'Fuß', 'FUSS', 'fuß', 'Σ', 'σ', 'ς', 'k', 'K', '\u212a', 'ⱥ', 'Ⱥ', 'ŉ', 'ʼN', 'İ',
  '😀', 'a😀b', '𝕏', '10.0.0.1', '10.0.0.255', '10.1.2.3', '192.168.0.1', '1.2.3.999', '::1', '0:0:0:0:0:0:0:1', 'fd00::7:1',
  'FD00:0:0:0:0:0:7:1', 'fd12:34ab::1', 'abc::def', 'ABC::DEF', '12:30', '1', '5', 'true', 'null', '"', '/', '\u0001', '\u007f',
  'aaaaaaaaaaaaaaaaaaaaaaab', 'aaaaaaaaaaab', 'xaaaaaaaaaaaaaaaaaaaaaaabx',
]; // biome-ignore format: a pool reads better dense
const numbers = [
  '0', '-0', '0.0', '0e5', '1', '1.0', '10e-1', '5', '5.0', '-5', '4.999999999999999', '4.99999999999999999999', '300', '3.0e2',
  '3E+2', '0.1', '0.10000000000000001', '0.30000000000000004', '9007199254740993', '9007199254740993.0', '9007199254740992',
  '123456789012345680000', '1e23', '1e400', '-1e309', '1e-400', '1e999999999999', '5e-324', '1.7976931348623157e308', '31.999999999999996',
  '12345678901234567', '0.000000000000001', '100000000000000000000000', '12', '12.5', '-1', '-0.5', '48.137154000000003', '123456789012345',
]; // biome-ignore format: a pool reads better dense
const boundTexts = numbers.filter(
  (text) => !/99999999999999999999$|0000001$|993|e400|e309|e-400|e9999|4567$|00003$/.test(text),
);
const networks = [
  '10.0.0.0/8',
  '10.0.0.7/24',
  '0.0.0.0/0',
  '192.168.0.0/31',
  '::/0',
  'fd00::/8',
  'fd12:3400::/24',
  '::1/127',
  'abc::/17',
];
const literals = ['true', 'false', 'null'];

/** A JSON string in one of its spellings. */
function spell(random: Random, text: string): string {
  if (random.chance(0.6)) return JSON.stringify(text);
  let out = '"';
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const escaped = `\\u${unit.toString(16).padStart(4, '0')}`;
    if (text[i] === '/' && random.chance(0.5)) out += '\\/';
    // A surrogate pair is escaped as a whole or not at all.
    else if (unit >= 0xd800 && unit < 0xdc00) {
      out += random.chance(0.5)
        ? text.slice(i, i + 2)
        : `${escaped}\\u${text
            .charCodeAt(i + 1)
            .toString(16)
            .toUpperCase()}`;
      i++;
    } else if (random.chance(0.3)) out += random.chance(0.5) ? escaped : escaped.toUpperCase().replace('U', 'u');
    else out += JSON.stringify(text[i]!).slice(1, -1);
  }
  return `${out}"`;
}

function space(random: Random): string {
  return random.chance(0.9) ? '' : random.pick([' ', '\n', '\t', '\r\n', '   ']);
}

function joinMembers(random: Random, parts: string[], open: string, close: string): string {
  return `${open}${space(random)}${parts.join(`${space(random)},${space(random)}`)}${space(random)}${close}`;
}

export function randomScalar(random: Random): string {
  const kind = random.below(10);
  if (kind < 5) return spell(random, random.pick(texts));
  return kind < 8 ? random.pick(numbers) : random.pick(literals);
}

/** A JSON object; `depth` more levels may follow. Names of one object are distinct. */
export function randomEvent(random: Random, depth = 3): string {
  const members: string[] = [];
  const used = new Set<string>();
  for (let n = random.below(4); n >= 0; n--) {
    const name = random.pick(names);
    if (used.has(name)) continue;
    used.add(name);
    members.push(`${spell(random, name)}${space(random)}:${space(random)}${randomValue(random, depth)}`);
  }
  return joinMembers(random, members, '{', '}');
}

function randomValue(random: Random, depth: number): string {
  const kind = depth === 0 ? 0 : random.below(10);
  if (kind < 5) return randomScalar(random);
  if (kind < 7) return randomEvent(random, depth - 1);
  const items: string[] = [];
  const ofObjects = random.chance(0.6);
  for (let n = random.below(4); n > 0; n--) {
    items.push(ofObjects && random.chance(0.9) ? randomEvent(random, depth - 1) : randomValue(random, depth - 1));
  }
  return joinMembers(random, items, '[', ']');
}

function wildcardText(random: Random): string {
  const text = random.pick(texts);
  let out = '';
  for (const character of text) {
    if (random.chance(0.25) && !out.endsWith('*')) out += '*';
    if (random.chance(0.6)) out += character === '*' || character === '\\' ? `\\${character}` : character;
  }
  if (random.chance(0.3) && !/(^|[^\\])(\\\\)*\*$/.test(out)) out += '*';
  // Keep it valid: no two unescaped stars in a row.
  return out.replace(/(\\.)|\*+/gsu, (whole, escaped: string | undefined) => escaped ?? whole.slice(0, 1));
}

function numericOperand(random: Random): string {
  if (random.chance(0.6)) return `["${random.pick(['=', '<', '<=', '>', '>='])}",${random.pick(boundTexts)}]`;
  for (;;) {
    const [low, high] = [random.pick(boundTexts), random.pick(boundTexts)];
    if (Number(low) < Number(high))
      return `["${random.pick(['>', '>='])}",${low},"${random.pick(['<', '<='])}",${high}]`;
  }
}

function list(random: Random, one: () => string): string {
  if (random.chance(0.4)) return one();
  return joinMembers(random, Array.from({ length: 1 + random.below(random.chance(0.1) ? 12 : 3) }, one), '[', ']');
}

function randomTest(random: Random): string {
  const text = () => spell(random, random.pick(texts));
  const affix = () => spell(random, random.pick(texts.slice(1)));
  switch (random.below(17)) {
    case 0:
    case 1:
    case 2:
      return text();
    case 3:
      return random.pick(numbers);
    case 4:
      return random.pick(literals);
    case 5:
      return `{"exactly":${text()}}`;
    case 6:
      return `{"prefix":${random.chance(0.7) ? text() : `{"equals-ignore-case":${text()}}`}}`;
    case 7:
      return `{"suffix":${random.chance(0.7) ? text() : `{"equals-ignore-case":${text()}}`}}`;
    case 8:
      return `{"equals-ignore-case":${text()}}`;
    case 9:
      return `{"wildcard":${spell(random, wildcardText(random))}}`;
    case 10:
      return '{"exists":true}';
    case 11:
    case 12:
      return '{"exists":false}';
    case 13:
      return `{"cidr":"${random.pick(networks)}"}`;
    case 14:
      return `{"numeric":${numericOperand(random)}}`;
    default:
      switch (random.below(6)) {
        case 0:
          return `{"anything-but":${list(random, text)}}`;
        case 1:
          return `{"anything-but":${list(random, () => random.pick(boundTexts))}}`;
        case 2:
          return `{"anything-but":{"prefix":${list(random, affix)}}}`;
        case 3:
          return `{"anything-but":{"suffix":${list(random, affix)}}}`;
        case 4:
          return `{"anything-but":{"equals-ignore-case":${list(random, text)}}}`;
        default:
          return `{"anything-but":{"wildcard":${list(random, () => spell(random, wildcardText(random)))}}}`;
      }
  }
}

/** A valid pattern. */
export function randomPattern(random: Random, depth = 3, orDepth = 2): string {
  const members: string[] = [];
  for (let n = random.below(3); n >= 0; n--) {
    if (orDepth > 0 && random.chance(0.12)) {
      const branches = Array.from({ length: 2 + random.below(2) }, () => randomPattern(random, depth - 1, orDepth - 1));
      members.push(`"$or":${joinMembers(random, branches, '[', ']')}`);
      continue;
    }
    const name = spell(random, random.pick(names));
    if (depth > 0 && random.chance(0.4)) {
      members.push(`${name}:${randomPattern(random, depth - 1, orDepth)}`);
    } else {
      const tests = Array.from({ length: 1 + random.below(random.chance(0.1) ? 9 : 2) }, () => randomTest(random));
      members.push(`${name}:${joinMembers(random, tests, '[', ']')}`);
    }
  }
  return joinMembers(random, members, '{', '}');
}

/** A valid pattern on some of `leaves`, the dotted paths and JSON texts of an event's leaves, that often accepts them. */
export function patternOn(random: Random, leaves: readonly { path: string; text: string }[]): string {
  const members = Array.from({ length: 1 + random.below(3) }, () => {
    const { path, text } = random.pick(leaves);
    const tests = [random.chance(0.5) ? text : random.chance(0.3) ? '{"exists":true}' : randomTest(random)];
    if (random.chance(0.3)) tests.unshift(randomTest(random));
    let rule = `[${tests.join()}]`;
    const steps = path.split('.');
    // The last step stays a member of its own; any of the others may be joined to its neighbour by a dot.
    let name = steps.pop()!;
    while (steps.length > 0) {
      if (random.chance(0.7)) {
        rule = `{${spell(random, name)}:${rule}}`;
        name = steps.pop()!;
      } else {
        name = `${steps.pop()}.${name}`;
      }
    }
    return `${spell(random, name)}:${rule}`;
  });
  if (random.chance(0.8)) return joinMembers(random, members, '{', '}');
  return `{"$or":[${randomPattern(random, 1, 0)},{${members.join()}}]}`;
}
