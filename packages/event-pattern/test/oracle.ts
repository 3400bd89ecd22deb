// A slow, literal interpreter of the pattern language, written from its description and sharing no code with the
// package: strings are JavaScript strings, numbers are exact decimals, every choice of leaves is tried.

type Json =
  | { kind: 'object'; members: [string, Json][] }
  | { kind: 'array'; items: Json[] }
  | { kind: 'string'; value: string }
  | { kind: 'number'; text: string }
  | { kind: 'literal'; value: boolean | null };

/** Parses valid JSON text, keeping order, repeated names and number spelling. */
export function parseJson(text: string): Json {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g) ?? [];
  let at = 0;
  const value = (): Json => {
    const token = tokens[at++]!;
    if (token === '{') {
      const members: [string, Json][] = [];
      if (tokens[at] === '}') at++;
      else {
        do {
          const name = JSON.parse(tokens[at]!) as string;
          at += 2;
          members.push([name, value()]);
        } while (tokens[at++] === ',');
      }
      return { kind: 'object', members };
    }
    if (token === '[') {
      const items: Json[] = [];
      if (tokens[at] === ']') at++;
      else {
        do items.push(value());
        while (tokens[at++] === ',');
      }
      return { kind: 'array', items };
    }
    if (token.startsWith('"')) return { kind: 'string', value: JSON.parse(token) as string };
    if (token === 'true' || token === 'false' || token === 'null') {
      return { kind: 'literal', value: JSON.parse(token) as boolean | null };
    }
    return { kind: 'number', text: token };
  };
  return value();
}

// ---------------------------------------------------------------------------------------------- numbers

/** The exact value as an integer times a power of ten, without trailing zeros. */
function exactDecimal(text: string): { integer: bigint; power: number } {
  const [, sign, whole, fraction = '', exponent = '0'] = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(
    text,
  )!;
  let integer = BigInt(`${whole}${fraction}`);
  let power = Number(exponent) - fraction.length;
  if (integer === 0n) return { integer, power: 0 };
  while (integer % 10n === 0n) {
    integer /= 10n;
    power++;
  }
  return { integer: sign === '-' ? -integer : integer, power };
}

/** The double, or undefined when its shortest text denotes another decimal number. */
export function comparable(text: string): number | undefined {
  const value = Number(text);
  if (!Number.isFinite(value)) return undefined;
  const exact = exactDecimal(text);
  const shortest = exactDecimal(String(value));
  return exact.integer === shortest.integer && exact.power === shortest.power ? value : undefined;
}

// ---------------------------------------------------------------------------------------------- addresses

/** Family and bits of an IP literal, or undefined. */
export function addressBits(text: string): string | undefined {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    const groups = text.split('.').map(Number);
    if (groups.some((group) => group > 255)) return undefined;
    return `4:${groups.map((group) => group.toString(2).padStart(8, '0')).join('')}`;
  }
  if (!/^[0-9a-fA-F:]+$/.test(text) || !text.includes(':')) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')));
  if (groups.flat().some((group) => !/^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  const count = groups.flat().length;
  if (halves.length === 1 ? count !== 8 : count > 7) return undefined;
  const full =
    halves.length === 1 ? groups[0]! : [...groups[0]!, ...new Array<string>(8 - count).fill('0'), ...groups[1]!];
  return `6:${full.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('')}`;
}

// ---------------------------------------------------------------------------------------------- strings

/** Lengths of the prefixes of `text` that equal `pattern` up to case. */
function foldedPrefixes(pattern: string, text: string): Set<number> {
  let lengths = new Set([0]);
  for (const character of pattern) {
    const forms = character.length > 1 ? [character] : [character.toLowerCase(), character.toUpperCase()];
    const next = new Set<number>();
    for (const length of lengths) {
      for (const form of forms) if (text.startsWith(form, length)) next.add(length + form.length);
    }
    lengths = next;
  }
  return lengths;
}

function equalsIgnoringCase(pattern: string, text: string): boolean {
  return foldedPrefixes(pattern, text).has(text.length);
}

function wildcardMatches(pattern: string, text: string): boolean {
  const source = pattern.replace(/\\([*\\])|(\*)|([^*\\]+)/gu, (_, escaped: string, star: string, plain: string) =>
    star ? '[^]*' : (escaped ?? plain).replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&'),
  );
  return new RegExp(`^(?:${source})$`).test(text);
}

// ---------------------------------------------------------------------------------------------- tests

/** Whether the test (an entry of a value list) accepts the leaf. `exists: false` accepts none. */
export function accepts(test: Json, leaf: Json): boolean {
  if (test.kind === 'string') {
    if (leaf.kind !== 'string') return false;
    const bits = addressBits(test.value);
    return bits === undefined ? leaf.value === test.value : addressBits(leaf.value) === bits;
  }
  if (test.kind === 'number') {
    if (leaf.kind !== 'number') return false;
    const value = comparable(test.text);
    return value === undefined ? leaf.text === test.text : comparable(leaf.text) === value;
  }
  if (test.kind === 'literal') return leaf.kind === 'literal' && leaf.value === test.value;
  if (test.kind !== 'object') throw new Error('no test');
  const [name, operand] = test.members[0]!;
  if (name === 'exists') return operand.kind === 'literal' && operand.value === true;
  if (name === 'anything-but') return acceptsAnythingBut(operand, leaf);
  if (name === 'numeric')
    return operand.kind === 'array' && leaf.kind === 'number' && inRange(operand.items, leaf.text);
  return leaf.kind === 'string' && stringOperator(name, operand, leaf.value);
}

function stringOperator(name: string, operand: Json, text: string): boolean {
  if (operand.kind === 'object') {
    const nested = operand.members[0]![1];
    if (nested.kind !== 'string') throw new Error('no string');
    if (name === 'prefix') return foldedPrefixes(nested.value, text).size > 0;
    for (let from = 0; from <= text.length; from++) {
      if (equalsIgnoringCase(nested.value, text.slice(from))) return true;
    }
    return false;
  }
  if (operand.kind !== 'string') throw new Error('no string');
  switch (name) {
    case 'exactly':
      return text === operand.value;
    case 'prefix':
      return text.startsWith(operand.value);
    case 'suffix':
      return text.endsWith(operand.value);
    case 'equals-ignore-case':
      return equalsIgnoringCase(operand.value, text);
    case 'wildcard':
      return wildcardMatches(operand.value, text);
    case 'cidr': {
      const [address, length] = operand.value.split('/');
      const bits = addressBits(text);
      const prefix = addressBits(address!)!.slice(0, 2 + Number(length));
      return bits?.startsWith(prefix) ?? false;
    }
    default:
      throw new Error(`no operator ${name}`);
  }
}

function inRange(items: Json[], text: string): boolean {
  const value = comparable(text);
  if (value === undefined) return false;
  for (let n = 0; n < items.length; n += 2) {
    const operator = items[n] as Json & { kind: 'string' };
    const bound = comparable((items[n + 1] as Json & { kind: 'number' }).text)!;
    const holds =
      operator.value === '='
        ? value === bound
        : operator.value === '<'
          ? value < bound
          : operator.value === '<='
            ? value <= bound
            : operator.value === '>'
              ? value > bound
              : value >= bound;
    if (!holds) return false;
  }
  return true;
}

function acceptsAnythingBut(operand: Json, leaf: Json): boolean {
  if (operand.kind === 'object') {
    const [name, nested] = operand.members[0]!;
    if (leaf.kind !== 'string') return true;
    const excluded = nested.kind === 'array' ? nested.items : [nested];
    return !excluded.some((item) => stringOperator(name, item, leaf.value));
  }
  const excluded = operand.kind === 'array' ? operand.items : [operand];
  return !excluded.some((item) => {
    if (item.kind === 'string') return leaf.kind === 'string' && leaf.value === item.value;
    if (item.kind !== 'number' || leaf.kind !== 'number') return false;
    const value = comparable(leaf.text);
    return value !== undefined && value === comparable(item.text);
  });
}

// ---------------------------------------------------------------------------------------------- patterns

type OracleAlternative = Map<string, Json[]>;

/** Expands a valid pattern, with `$or` as the operator, to its alternatives. */
export function expand(pattern: Json, path?: string, base: OracleAlternative[] = [new Map()]): OracleAlternative[] {
  if (pattern.kind !== 'object') throw new Error('no object');
  for (const [name, value] of pattern.members) {
    if (name === '$or' && value.kind === 'array') {
      const before = base;
      base = value.items.flatMap((branch) =>
        expand(
          branch,
          path,
          before.map((alternative) => new Map(alternative)),
        ),
      );
      continue;
    }
    const below = path === undefined ? name : `${path}.${name}`;
    if (value.kind === 'object') base = expand(value, below, base);
    else if (value.kind === 'array') for (const alternative of base) alternative.set(below, value.items);
  }
  return base;
}

// ---------------------------------------------------------------------------------------------- matching

interface OracleLeaf {
  path: string;
  value: Json;
  position: Map<number, number>;
}

/** The flat list of leaves of an event. */
export function flatten(event: Json): OracleLeaf[] {
  const leaves: OracleLeaf[] = [];
  let arrays = 0;
  const visit = (node: Json, path: string | undefined, position: Map<number, number>): void => {
    if (node.kind === 'object') {
      for (const [name, value] of node.members) visit(value, path === undefined ? name : `${path}.${name}`, position);
    } else if (node.kind === 'array') {
      const id = arrays++;
      for (const [index, item] of node.items.entries()) {
        const container = item.kind === 'object' || item.kind === 'array';
        visit(item, path, container ? new Map(position).set(id, index) : position);
      }
    } else {
      leaves.push({ path: path!, value: node, position });
    }
  };
  visit(event, undefined, new Map());
  return leaves;
}

function isAbsenceTest(test: Json): boolean {
  if (test.kind !== 'object') return false;
  const [name, operand] = test.members[0]!;
  return name === 'exists' && operand.kind === 'literal' && operand.value === false;
}

/** The verdict on valid texts. */
export function oracleMatches(pattern: string, event: string): boolean {
  const leaves = flatten(parseJson(event));
  return expand(parseJson(pattern)).some((alternative) => {
    const conditions = [...alternative].sort(([a], [b]) => (a < b ? -1 : 1));
    const walk = (i: number, position: Map<number, number>): boolean => {
      if (i === conditions.length) return true;
      const [path, tests] = conditions[i]!;
      const here = leaves.filter(
        (leaf) =>
          leaf.path === path &&
          [...leaf.position].every(([id, index]) => !position.has(id) || position.get(id) === index),
      );
      if (here.length === 0 && tests.some(isAbsenceTest) && walk(i + 1, position)) return true;
      return here.some(
        (leaf) =>
          tests.some((test) => accepts(test, leaf.value)) && walk(i + 1, new Map([...position, ...leaf.position])),
      );
    };
    return walk(0, new Map());
  });
}
