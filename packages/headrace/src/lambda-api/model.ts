import { readFileSync } from 'node:fs';

/** A shape of the API model, as `scripts/lambda-model.ts` keeps it. */
export interface Shape {
  readonly type:
    | 'string'
    | 'integer'
    | 'long'
    | 'double'
    | 'float'
    | 'boolean'
    | 'timestamp'
    | 'blob'
    | 'list'
    | 'map'
    | 'structure';
  readonly members?: Readonly<Record<string, Member>>;
  readonly required?: readonly string[];
  /** The member that is the whole body. */
  readonly payload?: string;
  readonly member?: string;
  readonly key?: string;
  readonly value?: string;
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
}

export interface Member {
  readonly shape: string;
  /** Where it travels; absent: in the JSON body. */
  readonly in?: 'uri' | 'querystring' | 'header' | 'statusCode';
  readonly as?: string;
}

export interface Operation {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  /** Status of a success. */
  readonly status: number;
  readonly input: Shape | undefined;
}

interface ModelFile {
  readonly operations: Record<string, { method: string; path: string; status: number; input?: string }>;
  readonly shapes: Record<string, Shape>;
}

const file: ModelFile = JSON.parse(readFileSync(new URL('./model.json', import.meta.url), 'utf8'));

/** Where the service is known to differ from its model, or to answer in another order than the model's. */
const corrections: Readonly<Record<string, Partial<Shape>>> = {
  // Beyond these only functions on managed instances go, which are not offered here.
  Timeout: { max: 900 },
  MemorySize: { max: 10_240 },
  // The service refuses unknown runtimes with words of its own (runtimes.ts).
  Runtime: { enum: undefined },
  EventSourcePosition: { enum: ['LATEST', 'AT_TIMESTAMP', 'TRIM_HORIZON'] },
  Architecture: { enum: ['x86_64', 'arm64'] },
  SnapStartApplyOn: { enum: ['PublishedVersions', 'None'] },
  RecursiveLoop: { enum: ['Terminate', 'Allow'] },
  Qualifier: { pattern: '\\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+' },
  LayerVersionArn: {
    pattern:
      '(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)',
  },
  TaggableResource: {
    pattern:
      'arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:(function:[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)',
  },
};

export function shapeOf(name: string): Shape {
  const shape = file.shapes[name];
  if (shape === undefined) throw new RangeError(`the model has no shape ${name}`);
  return shape;
}

for (const [name, correction] of Object.entries(corrections)) {
  file.shapes[name] = { ...shapeOf(name), ...correction } as Shape;
}

// Recorded: runtimes are complained about before architectures, which the model names first.
const publishLayer = shapeOf('PublishLayerVersionRequest');
const { CompatibleRuntimes, ...members } = publishLayer.members!;
file.shapes['PublishLayerVersionRequest'] = {
  ...publishLayer,
  members: { CompatibleRuntimes: CompatibleRuntimes!, ...members },
};

/** Statuses that differ from the model on the wire. */
const statuses: Readonly<Record<string, number>> = { DeleteFunction: 204 };

export const operations: ReadonlyMap<string, Operation> = new Map(
  Object.entries(file.operations).map(([name, { method, path, status, input }]) => [
    name,
    {
      name,
      method,
      path,
      status: statuses[name] ?? status,
      input: input === undefined ? undefined : shapeOf(input),
    },
  ]),
);
