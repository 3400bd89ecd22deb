import { modelError } from './errors.ts';

// RecordIO: frames of a 32-bit magic, a 32-bit word whose low 29 bits are the length, the payload, and zeros up to a
// multiple of 4; little endian. Each payload is a protobuf Record of Amazon's algorithms:
//
//   Record  { map<string, Value> features = 1; map<string, Value> label = 2; string uid = 3, metadata = 4, configuration = 5 }
//   Value   { oneof: Float32Tensor = 2, Float64Tensor = 3, Int32Tensor = 7, Bytes = 9 }
//   *Tensor { repeated values = 1 [packed]; repeated uint64 keys = 2 [packed]; repeated uint64 shape = 3 [packed] }
//
// Source: https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-training.html

const MAGIC = 0xced7230a;
const LENGTH_MASK = 0x1fffffff;
const MOST_FEATURES = 10_000;

/** The `values` feature of each record, dense. @throws SageMakerError `ModelError` naming the record */
export function* decodeRecords(body: Buffer): Generator<number[]> {
  let at = 0;
  for (let number = 1; at < body.length; number++) {
    const wrong = (what: string): Error => modelError(`record ${number}: ${what}`);
    if (at + 8 > body.length || body.readUInt32LE(at) !== MAGIC)
      throw wrong('it does not begin with a RecordIO header');
    const word = body.readUInt32LE(at + 4);
    if (word >>> 29 !== 0) throw wrong('it is split over several frames, which is not supported');
    const end = at + 8 + (word & LENGTH_MASK);
    if (end > body.length) throw wrong('it ends too early');
    let row: number[] | undefined;
    try {
      row = decodeRecord(body.subarray(at + 8, end));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw wrong('it is not a protobuf Record');
    }
    if (!row) throw wrong('it has no feature named values');
    yield row;
    at = (end + 3) & ~3;
  }
}

/** Per row a record with the label `score`, a 32-bit float. */
export function encodeScores(scores: readonly number[]): Buffer {
  // Label entry: key "score" and a Value with a Float32Tensor of one number.
  const head = [0x12, 0x11, 0x0a, 0x05, 0x73, 0x63, 0x6f, 0x72, 0x65, 0x12, 0x08, 0x12, 0x06, 0x0a, 0x04];
  const length = head.length + 4;
  const frame = 8 + ((length + 3) & ~3);
  const body = Buffer.alloc(frame * scores.length);
  scores.forEach((score, k) => {
    const at = k * frame;
    body.writeUInt32LE(MAGIC, at);
    body.writeUInt32LE(length, at + 4);
    body.set(head, at + 8);
    body.writeFloatLE(score, at + 8 + head.length);
  });
  return body;
}

interface Field {
  readonly number: number;
  readonly wire: number;
  /** Bytes of a length-delimited or fixed field. */
  readonly bytes: Buffer;
  /** Value of a varint. */
  readonly value: number;
}

/** Throws RangeError on anything that is not protobuf. */
function* fields(bytes: Buffer): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1, k = 0; k < 10; k++, scale *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) throw new RangeError('truncated');
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new RangeError('varint too long');
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const wire = tag % 8;
    if (wire === 0) {
      yield { number, wire, bytes: Buffer.alloc(0), value: varint() };
      continue;
    }
    const length = wire === 2 ? varint() : wire === 5 ? 4 : wire === 1 ? 8 : Number.NaN;
    if (!(at + length <= bytes.length)) throw new RangeError('truncated');
    yield { number, wire, bytes: bytes.subarray(at, at + length), value: 0 };
    at += length;
  }
}

function decodeRecord(bytes: Buffer): number[] | undefined {
  for (const { number, wire, bytes: entry } of fields(bytes)) {
    if (number !== 1 || wire !== 2) continue;
    let name = '';
    let value: Buffer | undefined;
    for (const field of fields(entry)) {
      if (field.number === 1 && field.wire === 2) name = field.bytes.toString('utf8');
      if (field.number === 2 && field.wire === 2) value = field.bytes;
    }
    if (name === 'values' && value) return decodeValue(value);
  }
  return undefined;
}

function decodeValue(bytes: Buffer): number[] | undefined {
  for (const { number, wire, bytes: tensor } of fields(bytes)) {
    if (wire !== 2 || (number !== 2 && number !== 3 && number !== 7)) continue;
    const values: number[] = [];
    const keys: number[] = [];
    const shape: number[] = [];
    for (const field of fields(tensor)) {
      if (field.number === 1) readNumbers(field, number, values);
      else if (field.number === 2) readVarints(field, keys);
      else if (field.number === 3) readVarints(field, shape);
    }
    if (keys.length === 0) return values;
    const length = shape[0];
    if (
      shape.length !== 1 ||
      length === undefined ||
      length < 1 ||
      length > MOST_FEATURES ||
      keys.length !== values.length
    ) {
      throw new RangeError('shape');
    }
    const row = new Array<number>(length).fill(0);
    keys.forEach((key, k) => {
      if (key >= length) throw new RangeError('key');
      row[key] = values[k]!;
    });
    return row;
  }
  return undefined;
}

/** Values of a tensor of the given kind (2: 32-bit floats, 3: 64-bit, 7: 32-bit integers), packed or one by one. */
function readNumbers(field: Field, kind: number, into: number[]): void {
  if (kind === 7) {
    const from = into.length;
    readVarints(field, into);
    for (let k = from; k < into.length; k++) into[k] = (into[k]! % 2 ** 32) | 0;
    return;
  }
  const width = kind === 2 ? 4 : 8;
  if (field.bytes.length % width !== 0 || field.wire === 0) throw new RangeError('tensor');
  for (let at = 0; at < field.bytes.length; at += width) {
    into.push(width === 4 ? field.bytes.readFloatLE(at) : field.bytes.readDoubleLE(at));
  }
}

function readVarints(field: Field, into: number[]): void {
  if (field.wire === 0) {
    into.push(field.value);
    return;
  }
  let value = 0;
  let scale = 1;
  for (const byte of field.bytes) {
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte >= 128) continue;
    into.push(value);
    value = 0;
    scale = 1;
  }
  if (scale !== 1) throw new RangeError('varint');
}
