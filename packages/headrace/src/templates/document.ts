import { parseDocument, type ScalarTag, type Tags } from 'yaml';
import { HeadraceError } from '../errors.ts';

/** A template's value with intrinsic functions in their long form: `{ "Fn::Sub": … }`, `{ "Ref": … }`. */
export type TemplateValue =
  | null
  | boolean
  | number
  | string
  | readonly TemplateValue[]
  | { readonly [key: string]: TemplateValue };
export type TemplateMap = { readonly [key: string]: TemplateValue };

export interface TemplateDocument {
  readonly parameters: TemplateMap;
  readonly mappings: TemplateMap;
  readonly conditions: TemplateMap;
  readonly globals: TemplateMap;
  readonly resources: Readonly<Record<string, TemplateResource>>;
  readonly outputs: TemplateMap;
}

export interface TemplateResource {
  readonly logicalId: string;
  readonly type: string;
  readonly properties: TemplateMap;
  readonly condition: string | undefined;
}

/** Sections of the template anatomy that say nothing about what runs. */
const ignoredSections = new Set(['AWSTemplateFormatVersion', 'Description', 'Metadata', 'Rules', 'Hooks', 'Transform']);
const knownTransforms = new Set(['AWS::Serverless-2016-10-31']);

export const templateError = (message: string): HeadraceError => new HeadraceError('TEMPLATE', message);

export function isMap(value: TemplateValue | undefined): value is TemplateMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads a SAM or CloudFormation template: JSON, or YAML with the short tags (`!Ref`, `!Sub`, `!GetAtt a.b`). Dates and
 * account numbers stay text. Throws TEMPLATE naming line, section or resource.
 */
export function parseTemplate(text: string, fileName: string): TemplateDocument {
  const document = parseDocument(text, { schema: 'core', customTags: intrinsicTags, uniqueKeys: true });
  const [problem] = document.errors;
  if (problem) throw templateError(`${fileName}: ${problem.message.split('\n')[0]!.replace(/:$/, '')}`);
  // The tags above turn what YAML knows into plain values only.
  const root = expandIntrinsics(document.toJS({ maxAliasCount: 100 }) as TemplateValue);
  if (!isMap(root)) throw templateError(`${fileName}: a template is a map with a Resources section`);
  for (const section of Object.keys(root)) {
    const known = ['Parameters', 'Mappings', 'Conditions', 'Globals', 'Resources', 'Outputs'].includes(section);
    if (!known && !ignoredSections.has(section)) throw templateError(`${fileName}: unknown section ${section}`);
  }
  for (const transform of [root['Transform'] ?? []].flat()) {
    if (typeof transform !== 'string' || !knownTransforms.has(transform)) {
      throw templateError(`${fileName}: the transform ${JSON.stringify(transform)} is not supported`);
    }
  }
  const section = (name: string): TemplateMap => {
    const value = root[name] ?? {};
    if (!isMap(value)) throw templateError(`${fileName}: ${name} must be a map`);
    return value;
  };
  const resources: Record<string, TemplateResource> = {};
  for (const [logicalId, value] of Object.entries(section('Resources'))) {
    if (!/^[A-Za-z0-9]{1,255}$/.test(logicalId))
      throw templateError(`${fileName}: ${logicalId} is not a logical id: letters and digits only`);
    if (!isMap(value) || typeof value['Type'] !== 'string') throw templateError(`${logicalId}: Type is missing`);
    const properties = value['Properties'] ?? {};
    if (!isMap(properties)) throw templateError(`${logicalId}: Properties must be a map`);
    const condition = value['Condition'];
    resources[logicalId] = {
      logicalId,
      type: value['Type'],
      properties,
      condition: typeof condition === 'string' ? condition : undefined,
    };
  }
  if (Object.keys(resources).length === 0) throw templateError(`${fileName}: there is no resource in it`);
  return {
    parameters: section('Parameters'),
    mappings: section('Mappings'),
    conditions: section('Conditions'),
    globals: section('Globals'),
    resources,
    outputs: section('Outputs'),
  };
}

const shortNames = [
  'Ref', 'Sub', 'GetAtt', 'Join', 'Split', 'Select', 'Base64', 'FindInMap', 'If', 'Equals', 'And', 'Or', 'Not',
  'Condition', 'ImportValue', 'GetAZs', 'Cidr', 'Transform',
] as const; // biome-ignore format: a table

/** Carries a short tag through the parser until the whole is plain values. */
class Tagged {
  readonly name: string;
  readonly value: unknown;
  constructor(name: string, value: unknown) {
    this.name = name;
    this.value = value;
  }
}

const intrinsicTags: Tags = shortNames.flatMap((name): ScalarTag[] => {
  const make = (value: unknown): Tagged => new Tagged(name, value);
  // The library types scalar and collection tags alike; `resolve` gets text for a scalar and a node for a collection.
  const scalar: ScalarTag = { tag: `!${name}`, resolve: (text: string) => make(text) };
  const collection = (kind: 'map' | 'seq') =>
    ({
      tag: `!${name}`,
      collection: kind,
      resolve: (node: { toJSON(): unknown }) => make(node.toJSON()),
    }) as unknown as ScalarTag;
  return [scalar, collection('map'), collection('seq')];
});

function expandIntrinsics(value: unknown): TemplateValue {
  if (value instanceof Tagged) {
    const inner = expandIntrinsics(value.value);
    if (value.name === 'Ref' || value.name === 'Condition') return { [value.name]: inner };
    if (value.name === 'GetAtt' && typeof inner === 'string') {
      const dot = inner.indexOf('.');
      if (dot < 0) throw templateError(`!GetAtt ${inner}: an attribute is missing`);
      return { 'Fn::GetAtt': [inner.slice(0, dot), inner.slice(dot + 1)] };
    }
    return { [`Fn::${value.name}`]: inner };
  }
  if (Array.isArray(value)) return value.map(expandIntrinsics);
  if (value instanceof Map) return expandIntrinsics(Object.fromEntries(value));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, expandIntrinsics(each)]));
  }
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  throw templateError(`a value of type ${typeof value} has no place in a template`);
}
