import { pythonEnvironment, runCommand } from '@headrace/testing';

/** A shape of botocore's service model, as published. */
export interface ModelShape {
  readonly type: string;
  readonly members?: Readonly<Record<string, ModelMember>>;
  readonly required?: readonly string[];
  readonly payload?: string;
  readonly member?: ModelMember;
  readonly key?: ModelMember;
  readonly value?: ModelMember;
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly streaming?: boolean;
  readonly eventstream?: boolean;
}

export interface ModelMember {
  readonly shape: string;
  readonly location?: 'uri' | 'querystring' | 'header' | 'headers' | 'statusCode';
  readonly locationName?: string;
}

export interface ModelOperation {
  readonly http: { readonly method: string; readonly requestUri: string; readonly responseCode?: number };
  readonly input?: { readonly shape: string };
  readonly output?: { readonly shape: string };
}

export interface ServiceModel {
  readonly operations: Readonly<Record<string, ModelOperation>>;
  readonly shapes: Readonly<Record<string, ModelShape>>;
}

/** Lambda's model as AWS publishes it with botocore; needs Python. */
export async function readServiceModel(): Promise<ServiceModel> {
  const { python } = await pythonEnvironment(['botocore==1.44.5']);
  const print =
    'import gzip, os, botocore; print(gzip.open(os.path.join(os.path.dirname(botocore.__file__), "data/lambda/2015-03-31/service-2.json.gz"), "rt").read())';
  return JSON.parse((await runCommand(python, ['-c', print])).stdout);
}

export interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/** A request of an operation on the wire, by the bindings of the model and without any check. */
export function wireRequest(
  model: ServiceModel,
  operation: ModelOperation,
  input: Readonly<Record<string, unknown>>,
): WireRequest {
  const shape = operation.input === undefined ? undefined : model.shapes[operation.input.shape];
  let path = operation.http.requestUri;
  const query = new URLSearchParams(path.split('?')[1] ?? '');
  path = path.split('?')[0]!;
  const headers: Record<string, string> = {};
  const body: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(input)) {
    const member = shape?.members?.[name];
    if (member?.location === 'uri') {
      path = path.replace(`{${member.locationName ?? name}}`, encodeURIComponent(String(value)));
    } else if (member?.location === 'querystring') {
      for (const item of Array.isArray(value) ? value : [value])
        query.append(member.locationName ?? name, String(item));
    } else if (member?.location === 'header') headers[member.locationName ?? name] = String(value);
    else body[name] = value;
  }
  const hasBody = ['POST', 'PUT'].includes(operation.http.method);
  const payload = shape?.payload === undefined ? JSON.stringify(body) : String(body[shape.payload] ?? '{}');
  return {
    method: operation.http.method,
    path: query.size > 0 ? `${path}?${query}` : path,
    headers,
    body: hasBody ? payload : undefined,
  };
}

/** Where a value differs from its shape; empty when it fits. Members that the model does not know are differences. */
export function differences(model: ServiceModel, shapeName: string, value: unknown, path: string): string[] {
  const shape = model.shapes[shapeName]!;
  const wrong = (wanted: string): string[] => [`${path}: ${wanted} wanted, not ${JSON.stringify(value)}`];
  switch (shape.type) {
    case 'structure': {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return wrong('an object');
      const members = shape.members ?? {};
      const missing = (shape.required ?? [])
        .filter((name) => !(name in value) && members[name]?.location === undefined)
        .map((name) => `${path}.${name}: missing`);
      return missing.concat(
        Object.entries(value).flatMap(([name, item]) => {
          const member = members[name];
          if (member === undefined) return [`${path}.${name}: unknown to the model`];
          return differences(model, member.shape, item, `${path}.${name}`);
        }),
      );
    }
    case 'list':
      if (!Array.isArray(value)) return wrong('a list');
      return value.flatMap((item, index) => differences(model, shape.member!.shape, item, `${path}[${index}]`));
    case 'map':
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return wrong('a map');
      return Object.entries(value).flatMap(([key, item]) =>
        differences(model, shape.value!.shape, item, `${path}.${key}`),
      );
    case 'string':
      if (typeof value !== 'string') return wrong('a string');
      return shape.enum !== undefined && !shape.enum.includes(value) ? wrong(`one of ${shape.enum}`) : [];
    case 'boolean':
      return typeof value === 'boolean' ? [] : wrong('a boolean');
    case 'timestamp':
    case 'integer':
    case 'long':
    case 'double':
    case 'float':
      return typeof value === 'number' ? [] : wrong('a number');
    default:
      return typeof value === 'string' ? [] : wrong('base64');
  }
}

/** A way to a constrained member of a request, and a value there that breaks one of its constraints. */
export interface BadValue {
  readonly what: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/** For each constraint of each member of a request, one input that breaks it and is `base` otherwise. */
export function badInputs(
  model: ServiceModel,
  operation: ModelOperation,
  base: Readonly<Record<string, unknown>>,
): BadValue[] {
  if (operation.input === undefined) return [];
  const shape = model.shapes[operation.input.shape]!;
  const found: BadValue[] = [];
  for (const [name, member] of Object.entries(shape.members ?? {})) {
    if (name === shape.payload) continue;
    for (const [what, value] of badValues(model, member.shape, 0)) {
      // An empty label is another path.
      if (member.location === 'uri' && value === '') continue;
      // HTTP itself does not carry these.
      if (member.location === 'header' && /[^\x20-\x7e]/.test(String(value))) continue;
      found.push({ what: `${name}${what}`, input: { ...base, [name]: value } });
    }
  }
  return found;
}

function badValues(model: ServiceModel, shapeName: string, depth: number): [string, unknown][] {
  const shape = model.shapes[shapeName]!;
  if (depth > 6) return [];
  const { min, max, pattern } = shape;
  switch (shape.type) {
    case 'string': {
      const values: [string, unknown][] = [];
      if (shape.enum !== undefined) values.push([' outside its enum', 'no-such-value']);
      if (max !== undefined && max < 20_000) values.push([` longer than ${max}`, 'a'.repeat(max + 1)]);
      if (min !== undefined && min > 0) values.push([` shorter than ${min}`, 'a'.repeat(min - 1)]);
      if (pattern !== undefined) {
        const breaking = ['\u0001 ?!', '? !', ' ', '\n'].find(
          (text) => !new RegExp(`^(?:${pattern})$`, 'u').test(text),
        );
        if (breaking !== undefined) values.push([` against ${pattern}`, breaking]);
      }
      return values;
    }
    case 'integer':
    case 'long':
    case 'double': {
      const values: [string, unknown][] = [];
      if (max !== undefined) values.push([` above ${max}`, max + 1]);
      if (min !== undefined) values.push([` below ${min}`, min - 1]);
      return values;
    }
    case 'list': {
      const values = badValues(model, shape.member!.shape, depth + 1).map(([what, value]): [string, unknown] => [
        `[0]${what}`,
        [value],
      ]);
      if (max !== undefined && max < 200) values.push([` of more than ${max}`, Array(max + 1).fill('a')]);
      return values;
    }
    case 'map': {
      const key = (shape.key && model.shapes[shape.key.shape]?.enum?.[0]) ?? 'KEY';
      return badValues(model, shape.value!.shape, depth + 1).map(([what, value]) => [`{}${what}`, { [key]: value }]);
    }
    case 'structure':
      return Object.entries(shape.members ?? {}).flatMap(([name, member]) =>
        badValues(model, member.shape, depth + 1).map(([what, value]): [string, unknown] => [
          `.${name}${what}`,
          { [name]: value },
        ]),
      );
    default:
      return [];
  }
}
