import { ProtocolError, type Reader, ZERO_UUID } from './reader.ts';
import { Writer } from './writer.ts';

/** Record batches as they lie on the wire; several buffers when they come from several segments. */
export type Records = Buffer | readonly Buffer[] | null;

type Scalar =
  | 'bool'
  | 'int8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'float64'
  | 'string'
  | 'uuid'
  | 'bytes'
  | 'records';

/** A field of a message. Versions are written as Kafka's definitions do: `3`, `0-12`, `4+`. */
export interface FieldSchema {
  readonly name: string;
  readonly type: Scalar | `[]${Scalar}` | 'struct' | '[]struct';
  readonly versions: string;
  readonly nullable?: string;
  /** A tagged field: optional on the wire, absent when it has its default. */
  readonly tag?: number;
  /** Value in versions without the field; by default the zero of the type. */
  readonly default?: string | number | boolean | null;
  readonly fields?: readonly FieldSchema[];
}

export interface ApiSchema {
  readonly key: number;
  readonly name: string;
  /** Lowest and highest version. */
  readonly versions: readonly [number, number];
  /** First version with compact lengths and tagged fields (KIP-482). */
  readonly flexibleSince: number;
  readonly request: readonly FieldSchema[];
  readonly response: readonly FieldSchema[];
}

interface Codec<T> {
  read(reader: Reader): T;
  write(writer: Writer, value: T): void;
}

/** One API with its requests' and responses' codecs, which are compiled for a version when it is first used. */
export class Api<Request, Response> {
  readonly schema: ApiSchema;
  readonly #requests: Codec<Request>[] = [];
  readonly #responses: Codec<Response>[] = [];

  constructor(schema: ApiSchema) {
    this.schema = schema;
  }
  get key(): number {
    return this.schema.key;
  }
  get name(): string {
    return this.schema.name;
  }
  isFlexible(version: number): boolean {
    return version >= this.schema.flexibleSince;
  }
  supports(version: number): boolean {
    return version >= this.schema.versions[0] && version <= this.schema.versions[1];
  }
  /** @throws ProtocolError */
  readRequest(reader: Reader, version: number): Request {
    return this.#request(version).read(reader);
  }
  writeRequest(writer: Writer, version: number, request: Request): void {
    this.#request(version).write(writer, request);
  }
  readResponse(reader: Reader, version: number): Response {
    return this.#response(version).read(reader);
  }
  writeResponse(writer: Writer, version: number, response: Response): void {
    this.#response(version).write(writer, response);
  }
  #request(version: number): Codec<Request> {
    return (this.#requests[version] ??= compile<Request>(this.schema.request, version, this.isFlexible(version)));
  }
  #response(version: number): Codec<Response> {
    return (this.#responses[version] ??= compile<Response>(this.schema.response, version, this.isFlexible(version)));
  }
}

export function api<Request, Response>(schema: ApiSchema): Api<Request, Response> {
  return new Api(schema);
}

function includes(range: string | undefined, version: number): boolean {
  if (range === undefined) return false;
  if (range.endsWith('+')) return version >= Number(range.slice(0, -1));
  const [low, high] = range.split('-').map(Number) as [number, number | undefined];
  return version >= low && version <= (high ?? low);
}

type Struct = Record<string, unknown>;
type Read = (reader: Reader) => unknown;
type Write = (writer: Writer, value: unknown) => void;

interface CompiledField {
  readonly name: string;
  readonly read: Read;
  readonly write: Write;
  readonly isPresent: boolean;
  readonly tag: number | undefined;
  /** Makes the value that a message without the field has. */
  readonly absent: () => unknown;
}

function compile<T>(schema: readonly FieldSchema[], version: number, isFlexible: boolean): Codec<T> {
  const { read, write } = compileStruct(schema, version, isFlexible);
  return { read: read as (reader: Reader) => T, write: write as (writer: Writer, value: T) => void };
}

function compileStruct(
  schema: readonly FieldSchema[],
  version: number,
  isFlexible: boolean,
): { read: Read; write: Write; absent: () => Struct } {
  const fields = schema.map((field) => compileField(field, version, isFlexible));
  const plain = fields.filter((field) => field.isPresent && field.tag === undefined);
  const tagged = fields
    .filter((field) => field.isPresent && field.tag !== undefined)
    .sort((left, right) => left.tag! - right.tag!);
  const others = fields.filter((field) => !field.isPresent);

  const read = (reader: Reader): Struct => {
    const struct: Struct = {};
    for (const field of plain) struct[field.name] = field.read(reader);
    for (const field of others) struct[field.name] = field.absent();
    for (const field of tagged) struct[field.name] = field.absent();
    if (isFlexible) readTags(reader, tagged, struct);
    return struct;
  };
  const write = (writer: Writer, value: unknown): void => {
    const struct = value as Struct;
    for (const field of plain) {
      const content = struct[field.name];
      field.write(writer, content === undefined ? field.absent() : content);
    }
    if (isFlexible) writeTags(writer, tagged, struct);
  };
  const absent = (): Struct => Object.fromEntries(fields.map((field) => [field.name, field.absent()]));
  return { read, write, absent };
}

function readTags(reader: Reader, tagged: readonly CompiledField[], struct: Struct): void {
  for (let count = reader.unsignedVarint(); count > 0; count--) {
    const tag = reader.unsignedVarint();
    const size = reader.unsignedVarint();
    const end = reader.position + size;
    if (size > reader.remaining) throw new ProtocolError(`a tagged field of ${size} bytes`);
    const field = tagged.find((candidate) => candidate.tag === tag);
    if (field) struct[field.name] = field.read(reader);
    else reader.skip(size);
    if (reader.position !== end) throw new ProtocolError(`tagged field ${tag} is not ${size} bytes long`);
  }
}

function writeTags(writer: Writer, tagged: readonly CompiledField[], struct: Struct): void {
  const present = tagged.filter((field) => {
    const value = struct[field.name];
    if (value === undefined) return false;
    const absent = field.absent();
    return value !== absent && !(Array.isArray(value) && value.length === 0 && Array.isArray(absent));
  });
  writer.unsignedVarint(present.length);
  for (const field of present) {
    const content = new Writer(64);
    field.write(content, struct[field.name]);
    writer.unsignedVarint(field.tag!);
    writer.unsignedVarint(content.length);
    writer.raw(content.toBuffer());
  }
}

function compileField(field: FieldSchema, version: number, isFlexible: boolean): CompiledField {
  const isArray = field.type.startsWith('[]');
  const element = field.type.replace('[]', '');
  const isNullable = includes(field.nullable, version);
  const struct = element === 'struct' ? compileStruct(field.fields ?? [], version, isFlexible) : undefined;
  let { read, write }: { read: Read; write: Write } = struct ?? scalar(element as Scalar, isFlexible, isNullable);
  if (struct && !isArray && isNullable) [read, write] = nullable(read, write);
  if (isArray) [read, write] = array(read, write, isFlexible, isNullable, field.name);
  const zero = zeros[element as Scalar];
  const absent = (): unknown => {
    if (field.default !== undefined) return field.default;
    if (isArray) return [];
    return struct ? struct.absent() : zero;
  };
  return { name: field.name, read, write, isPresent: includes(field.versions, version), tag: field.tag, absent };
}

const EMPTY = Buffer.alloc(0);
const zeros: Record<Scalar, unknown> = {
  bool: false,
  int8: 0,
  int16: 0,
  uint16: 0,
  int32: 0,
  uint32: 0,
  int64: 0,
  float64: 0,
  string: '',
  uuid: ZERO_UUID,
  bytes: EMPTY,
  records: null,
};

function nullable(read: Read, write: Write): [Read, Write] {
  return [
    (reader) => (reader.int8() < 0 ? null : read(reader)),
    (writer, value) => {
      writer.int8(value === null ? -1 : 1);
      if (value !== null) write(writer, value);
    },
  ];
}

function array(read: Read, write: Write, isCompact: boolean, isNullable: boolean, name: string): [Read, Write] {
  return [
    (reader) => {
      const length = reader.arrayLength(isCompact);
      if (length < 0) {
        if (!isNullable) throw new ProtocolError(`${name} is null`);
        return null;
      }
      const items: unknown[] = [];
      for (let index = 0; index < length; index++) items.push(read(reader));
      return items;
    },
    (writer, value) => {
      if (value === null) {
        writer.arrayLength(-1, isCompact);
        return;
      }
      const items = value as readonly unknown[];
      writer.arrayLength(items.length, isCompact);
      for (const item of items) write(writer, item);
    },
  ];
}

function scalar(type: Scalar, isCompact: boolean, isNullable: boolean): { read: Read; write: Write } {
  switch (type) {
    case 'string':
      return {
        read: (reader) => {
          const value = reader.string(isCompact);
          if (value === null && !isNullable) throw new ProtocolError('a string is null');
          return value;
        },
        // A null where the version knows none is the empty string.
        write: (writer, value) =>
          writer.string(value === null && !isNullable ? '' : (value as string | null), isCompact),
      };
    case 'bytes':
    case 'records':
      return {
        read: (reader) => {
          const value = reader.byteString(isCompact);
          if (value === null && !isNullable) throw new ProtocolError('a byte string is null');
          return value;
        },
        write: (writer, value) => writer.byteString(value as Records, isCompact),
      };
    case 'bool':
      return { read: (reader) => reader.bool(), write: (writer, value) => writer.bool(value as boolean) };
    case 'uuid':
      return { read: (reader) => reader.uuid(), write: (writer, value) => writer.uuid(value as string) };
    default:
      return { read: (reader) => reader[type](), write: (writer, value) => writer[type](value as number) };
  }
}
