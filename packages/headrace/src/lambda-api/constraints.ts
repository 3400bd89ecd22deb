import type { Input } from './binding.ts';
import { type Shape, shapeOf } from './model.ts';
import { acceptedRuntimes, knownRuntimes } from './runtimes.ts';

/**
 * Every violation of the model's constraints by `input`, in the words of the service's framework:
 * `Value 'r1' at 'role' failed to satisfy constraint: Member must …`.
 */
export function violations(shape: Shape, input: Input): string[] {
  const found: string[] = [];
  structure(shape, input, '', found);
  return found;
}

function structure(shape: Shape, value: Input, path: string, found: string[]): void {
  for (const name of shape.required ?? []) {
    if (value[name] === undefined) found.push(violation(null, join(path, name), 'Member must not be null'));
  }
  for (const name in shape.members) {
    const inner = value[name];
    if (inner === undefined || name === shape.payload) continue;
    const { shape: of } = shape.members[name]!;
    if (!isPlainlyRight(of, inner)) check(of, inner, join(path, name), found);
  }
}

/** A scalar that breaks no constraint: nearly every member of nearly every request. */
function isPlainlyRight(shapeName: string, value: unknown): boolean {
  const shape = shapeOf(shapeName);
  if (shape.type === 'structure' || shape.type === 'list' || shape.type === 'map') return false;
  for (const { holds } of constraintsOf(shape)) if (!holds(value)) return false;
  return true;
}

function check(shapeName: string, value: unknown, path: string, found: string[]): void {
  const shape = shapeOf(shapeName);
  if (shape.type === 'structure') structure(shape, value as Input, path, found);
  else if (shape.type === 'list') list(shape, value as unknown[], path, found);
  else if (shape.type === 'map') map(shape, value as Record<string, unknown>, path, found);
  else {
    for (const { holds, text } of constraintsOf(shape)) {
      if (!holds(value)) found.push(violation(value, path, text, shape));
    }
  }
}

function list(shape: Shape, items: unknown[], path: string, found: string[]): void {
  for (const { holds, text } of lengthConstraints(shape, (value) => (value as unknown[]).length)) {
    if (!holds(items)) found.push(violation(items, path, text));
  }
  if (shape.member === 'Runtime') {
    runtimes(items as string[], path, found);
    return;
  }
  const member = shapeOf(shape.member!);
  if (member.type === 'structure' || member.type === 'list' || member.type === 'map') {
    items.forEach((item, index) => {
      check(shape.member!, item ?? {}, `${path}.${index + 1}.member`, found);
    });
    return;
  }
  const constraints = constraintsOf(member);
  const isBroken = items.some((item) => item === null || constraints.some(({ holds }) => !holds(item)));
  if (!isBroken) return;
  const texts = constraints.map(({ text }) => text);
  // Recorded: members that are EC2's do not name the null.
  if (!ownedElsewhere.has(shape.member!)) texts.push('Member must not be null');
  found.push(violation(items, path, `Member must satisfy constraint: [${texts.join(', ')}]`));
}

/** Recorded: a list of runtimes names the accepted ones and nothing else. */
function runtimes(items: string[], path: string, found: string[]): void {
  if (items.every((item) => knownRuntimes.includes(item))) return;
  found.push(violation(items, path, `Member must satisfy enum value set: [${acceptedRuntimes.join(', ')}]`));
}

const ownedElsewhere = new Set(['SubnetId', 'SecurityGroupId']);

function map(shape: Shape, value: Record<string, unknown>, path: string, found: string[]): void {
  for (const { holds, text } of lengthConstraints(shape, (value) => Object.keys(value as object).length)) {
    if (!holds(value)) found.push(violation(value, path, text));
  }
  const keys = constraintsOf(shapeOf(shape.key!));
  if (Object.keys(value).some((key) => keys.some(({ holds }) => !holds(key)))) {
    const texts = keys.map(({ text }) => text).join(', ');
    found.push(violation(value, path, `Map keys must satisfy constraint: [${texts}]`, shapeOf(shape.value!)));
  }
  const member = shapeOf(shape.value!);
  if (member.type === 'structure' || member.type === 'list' || member.type === 'map') {
    for (const [key, item] of Object.entries(value)) check(shape.value!, item, `${path}.${key}.member`, found);
    return;
  }
  const values = constraintsOf(member);
  if (Object.values(value).some((item) => values.some(({ holds }) => !holds(item)))) {
    const texts = [...values.map(({ text }) => text), 'Member must not be null'].join(', ');
    found.push(violation(value, path, `Map value must satisfy constraint: [${texts}]`, member));
  }
}

interface Constraint {
  readonly holds: (value: unknown) => boolean;
  readonly text: string;
}

/** Compiled once a shape. */
const compiled = new WeakMap<Shape, readonly Constraint[]>();

function constraintsOf(shape: Shape): readonly Constraint[] {
  let constraints = compiled.get(shape);
  if (constraints === undefined) {
    constraints = compile(shape);
    compiled.set(shape, constraints);
  }
  return constraints;
}

function compile(shape: Shape): Constraint[] {
  const { type, min, max } = shape;
  if (type === 'string') return stringConstraints(shape);
  if (type === 'blob') return lengthConstraints(shape, (value) => (value as Uint8Array).length);
  if (!isNumeric(type)) return [];
  const show = (limit: number): string => (isReal(type) ? decimal(limit) : String(limit));
  const constraints: Constraint[] = [];
  if (max !== undefined) {
    const text = `Member must have value less than or equal to ${show(max)}`;
    constraints.push({ holds: (value) => (value as number) <= max, text });
  }
  if (min !== undefined) {
    const text = `Member must have value greater than or equal to ${show(min)}`;
    constraints.push({ holds: (value) => (value as number) >= min, text });
  }
  return constraints;
}

function stringConstraints(shape: Shape): Constraint[] {
  const { max, pattern } = shape;
  const constraints = lengthConstraints(shape, (value) => (value as string).length);
  if (pattern !== undefined) {
    const expression = new RegExp(`^(?:${pattern})$`, pattern.includes('\\p{') ? 'u' : '');
    // What is too long anyway is not given to the expression: hostile input must not buy time in it.
    const limit = Math.max(max ?? 0, 10_000);
    const text = `Member must satisfy regular expression pattern: ${pattern}`;
    constraints.push({
      holds: (value) => (value as string).length > limit || expression.test(value as string),
      text,
    });
  }
  if (shape.enum !== undefined) {
    const allowed = new Set(shape.enum);
    const text = `Member must satisfy enum value set: [${shape.enum.join(', ')}]`;
    constraints.push({ holds: (value) => allowed.has(value as string), text });
  }
  return constraints;
}

function lengthConstraints({ min, max }: Shape, lengthOf: (value: unknown) => number): Constraint[] {
  const constraints: Constraint[] = [];
  if (max !== undefined) {
    const text = `Member must have length less than or equal to ${max}`;
    constraints.push({ holds: (value) => lengthOf(value) <= max, text });
  }
  if (min !== undefined) {
    const text = `Member must have length greater than or equal to ${min}`;
    constraints.push({ holds: (value) => lengthOf(value) >= min, text });
  }
  return constraints;
}

const isReal = (type: Shape['type']): boolean => type === 'double' || type === 'float';
const isNumeric = (type: Shape['type']): boolean => isReal(type) || type === 'integer' || type === 'long';
const decimal = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value));

/** `FunctionName` in `VpcConfig` is `vpcConfig.functionName` in messages. */
function join(path: string, name: string): string {
  const lower = name.charAt(0).toLowerCase() + name.slice(1);
  return path === '' ? lower : `${path}.${lower}`;
}

function violation(value: unknown, path: string, constraint: string, shape?: Shape): string {
  const shown = value === null ? 'null' : `'${show(value, shape)}'`;
  return `Value ${shown} at '${path}' failed to satisfy constraint: ${constraint}`;
}

function show(value: unknown, shape?: Shape): string {
  if (Array.isArray(value)) return `[${value.map((item) => show(item)).join(', ')}]`;
  if (typeof value === 'number' && shape !== undefined && isReal(shape.type)) return decimal(value);
  if (value instanceof Uint8Array) return `java.nio.HeapByteBuffer[pos=0 lim=${value.length} cap=${value.length}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => `${key}=${show(item, shape)}`);
    return `{${entries.join(', ')}}`;
  }
  return String(value);
}
