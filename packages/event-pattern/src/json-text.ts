// Reads pattern text into a tree that keeps what JSON.parse loses: member order, repeated names, number spelling, and
// where everything stands.

import { InvalidPatternError } from './errors.ts';

export interface JsonMember {
  readonly name: string;
  readonly position: number;
  readonly value: JsonNode;
}

export type JsonNode =
  | { readonly kind: 'object'; readonly position: number; readonly members: readonly JsonMember[] }
  | { readonly kind: 'array'; readonly position: number; readonly items: readonly JsonNode[] }
  | { readonly kind: 'string'; readonly position: number; readonly value: string }
  | { readonly kind: 'number'; readonly position: number; readonly text: string }
  | { readonly kind: 'literal'; readonly position: number; readonly value: true | false | null };

const numberSyntax = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const plainCharacters = /[^"\\\u0000-\u001f]*/y;
const escapes: Record<string, string> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** Parses strict RFC 8259 text. Throws InvalidPatternError: `E_JSON`, or `E_TOO_DEEP` beyond `maximumDepth`. */
export function readJson(text: string, maximumDepth: number): JsonNode {
  let at = 0;

  function fail(detail: string): never {
    throw new InvalidPatternError('E_JSON', `the pattern is not valid JSON: ${detail} at offset ${at}`, '', text, at);
  }
  function found(): string {
    return at < text.length ? JSON.stringify(String.fromCodePoint(text.codePointAt(at)!)) : 'the end of the text';
  }
  function skipSpace(): void {
    for (;;) {
      const c = text.charCodeAt(at);
      if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return;
      at++;
    }
  }
  function readString(): string {
    at++;
    let value = '';
    for (;;) {
      plainCharacters.lastIndex = at;
      const plain = plainCharacters.exec(text)![0];
      value += plain;
      at += plain.length;
      if (text[at] === '"') {
        at++;
        return value;
      }
      if (text[at] !== '\\')
        fail(at < text.length ? 'a raw control character in a string' : 'a string without its end');
      const letter = text[at + 1] ?? '';
      if (letter === 'u') {
        const digits = text.slice(at + 2, at + 6);
        if (!/^[0-9a-fA-F]{4}$/.test(digits)) fail('\\u needs four hexadecimal digits');
        value += String.fromCharCode(Number.parseInt(digits, 16));
        at += 6;
      } else {
        const character = Object.hasOwn(escapes, letter) ? escapes[letter] : undefined;
        if (character === undefined) fail('an unknown escape in a string');
        value += character;
        at += 2;
      }
    }
  }
  function readValue(depth: number): JsonNode {
    skipSpace();
    const position = at;
    const c = text[at];
    if ((c === '{' || c === '[') && depth > maximumDepth) {
      const message = `the pattern is nested deeper than ${maximumDepth}`;
      throw new InvalidPatternError('E_TOO_DEEP', message, '', text, at);
    }
    if (c === '{') return readObject(position, depth);
    if (c === '[') return readArray(position, depth);
    if (c === '"') return { kind: 'string', position, value: readString() };
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return { kind: 'literal', position, value };
      }
    }
    numberSyntax.lastIndex = at;
    const number = numberSyntax.exec(text);
    if (number === null) fail(`expected a value, found ${found()}`);
    at += number[0].length;
    return { kind: 'number', position, text: number[0] };
  }
  function readObject(position: number, depth: number): JsonNode {
    const members: JsonMember[] = [];
    at++;
    skipSpace();
    if (text[at] === '}') {
      at++;
      return { kind: 'object', position, members };
    }
    for (;;) {
      skipSpace();
      if (text[at] !== '"') fail(`expected a member name, found ${found()}`);
      const namePosition = at;
      const name = readString();
      skipSpace();
      if (text[at] !== ':') fail(`expected ":", found ${found()}`);
      at++;
      members.push({ name, position: namePosition, value: readValue(depth + 1) });
      skipSpace();
      const c = text[at];
      if (c !== ',' && c !== '}') fail(`expected "," or "}", found ${found()}`);
      at++;
      if (c === '}') return { kind: 'object', position, members };
    }
  }
  function readArray(position: number, depth: number): JsonNode {
    const items: JsonNode[] = [];
    at++;
    skipSpace();
    if (text[at] === ']') {
      at++;
      return { kind: 'array', position, items };
    }
    for (;;) {
      items.push(readValue(depth + 1));
      skipSpace();
      const c = text[at];
      if (c !== ',' && c !== ']') fail(`expected "," or "]", found ${found()}`);
      at++;
      if (c === ']') return { kind: 'array', position, items };
    }
  }

  const node = readValue(1);
  skipSpace();
  if (at < text.length) fail(`text after the value: ${found()}`);
  return node;
}

/** The node as compact JSON, numbers as they were spelt. */
export function sourceOf(node: JsonNode): string {
  switch (node.kind) {
    case 'object':
      return `{${node.members.map(({ name, value }) => `${JSON.stringify(name)}:${sourceOf(value)}`).join(',')}}`;
    case 'array':
      return `[${node.items.map(sourceOf).join(',')}]`;
    case 'number':
      return node.text;
    default:
      return JSON.stringify(node.value);
  }
}
