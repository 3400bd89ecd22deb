import { modelError } from './errors.ts';
import { decodeRecords } from './record-io.ts';

/** The rows of a request, whatever it was written in. All rows have the same length and hold finite numbers only. */
export interface Payload {
  readonly rows: readonly number[][];
  /** The key that a row names for itself; undefined when no row does. */
  readonly keys: readonly (string | undefined)[] | undefined;
  /** A bare top-level array: the naive client, answered with plain numbers. */
  readonly bare: boolean;
}

export interface PayloadOptions {
  /** Lenient takes bare arrays, which the real service refuses. */
  readonly compat: 'lenient' | 'strict';
  /** Column of a row that holds its key rather than a value; counts from 0. */
  readonly keyColumn: number | undefined;
}

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const MOST_FEATURES = 10_000;

/** @throws SageMakerError `ModelError` naming the row and what is wrong with it */
export function parsePayload(contentType: string | undefined, body: Buffer, options: PayloadOptions): Payload {
  const type = (contentType ?? '').split(';', 1)[0]!.trim().toLowerCase();
  const rows = new Rows(options);
  switch (type) {
    case 'text/csv': {
      const label = /;\s*label_size\s*=\s*(\d+)/i.exec(contentType ?? '')?.[1];
      if (label !== undefined && label !== '0') throw modelError(`label_size is ${label}; only 0 can be scored`);
      parseCsv(body.toString('utf8'), rows);
      return rows.finish(false);
    }
    case 'application/json':
      return parseJson(body, rows, options);
    case 'application/jsonlines': {
      for (const line of body.toString('utf8').split('\n')) {
        if (line.trim() !== '') rows.addInstance(parseJsonText(line, `line ${rows.count + 1}`), false);
      }
      return rows.finish(false);
    }
    case 'application/x-recordio-protobuf':
      for (const values of decodeRecords(body)) rows.addNumbers(values);
      return rows.finish(false);
    default:
      throw modelError(
        `content type ${JSON.stringify(contentType ?? '')} is not one of text/csv, application/json, ` +
          'application/jsonlines, application/x-recordio-protobuf',
        415,
      );
  }
}

function parseCsv(text: string, rows: Rows): void {
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    if (trimmed !== '') rows.addCells(trimmed.split(','));
  }
}

function parseJson(body: Buffer, rows: Rows, options: PayloadOptions): Payload {
  const document = parseJsonText(body.toString('utf8'), 'the body');
  if (Array.isArray(document)) {
    if (options.compat === 'strict') throw modelError('the body is an array, not an object with instances');
    if (document.length > 0 && document.every((element) => Array.isArray(element))) {
      for (const row of document) rows.addMixed(row as unknown[]);
    } else {
      rows.addMixed(document);
    }
    return rows.finish(true);
  }
  const instances = isObject(document) ? document['instances'] : undefined;
  if (!Array.isArray(instances)) throw modelError('the body has no list of instances');
  for (const instance of instances) rows.addInstance(instance, options.compat === 'lenient');
  return rows.finish(false);
}

function parseJsonText(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw modelError(`${what} is not JSON`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Gathers rows and holds them to one length. */
class Rows {
  private readonly rows: number[][] = [];
  private readonly keys: (string | undefined)[] = [];
  private keyed = false;
  private readonly keyColumn: number | undefined;

  constructor(options: PayloadOptions) {
    this.keyColumn = options.keyColumn;
  }

  get count(): number {
    return this.rows.length;
  }

  /** A row of text cells. */
  addCells(cells: string[]): void {
    const { keyColumn } = this;
    let key: string | undefined;
    const row: number[] = [];
    for (let column = 0; column < cells.length; column++) {
      const cell = cells[column]!.trim();
      if (column === keyColumn) {
        key = cell;
        continue;
      }
      if (!NUMBER.test(cell)) {
        throw this.wrong(`column ${column + 1} is ${JSON.stringify(cell.slice(0, 40))}, not a number`);
      }
      row.push(Number(cell));
    }
    this.add(row, key);
  }

  /** A JSON array of numbers, with the key among them where a key column is set. */
  addMixed(values: readonly unknown[]): void {
    const { keyColumn } = this;
    if (keyColumn === undefined || keyColumn >= values.length) {
      this.addNumbers(values);
      return;
    }
    const key = values[keyColumn];
    if (typeof key !== 'string' && typeof key !== 'number') throw this.wrong(`its key is not text`);
    this.addNumbers(
      values.filter((_, column) => column !== keyColumn),
      String(key),
    );
  }

  addNumbers(values: readonly unknown[], key?: string): void {
    for (let column = 0; column < values.length; column++) {
      if (typeof values[column] !== 'number') {
        throw this.wrong(`value ${column + 1} is ${describe(values[column])}, not a number`);
      }
    }
    this.add(values as number[], key);
  }

  /** An instance object of the JSON forms; a plain array too where that is allowed. */
  addInstance(instance: unknown, arrays: boolean): void {
    if (arrays && Array.isArray(instance)) {
      this.addMixed(instance);
      return;
    }
    if (!isObject(instance)) throw this.wrong('it is not an object with features');
    const key = instance['key'];
    if (key !== undefined && typeof key !== 'string') throw this.wrong('its key is not text');
    if (Array.isArray(instance['features'])) {
      this.addNumbers(instance['features'], key);
      return;
    }
    const data = instance['data'];
    const features = isObject(data) ? data['features'] : undefined;
    if (!isObject(features) || !Array.isArray(features['values'])) throw this.wrong('it has no features');
    const values = features['values'] as unknown[];
    this.addNumbers(features['keys'] === undefined ? values : this.dense(features, values), key);
  }

  finish(bare: boolean): Payload {
    if (this.rows.length === 0) throw modelError('there is no row to score');
    return { rows: this.rows, keys: this.keyed ? this.keys : undefined, bare };
  }

  private dense(features: Record<string, unknown>, values: readonly unknown[]): unknown[] {
    const keys = features['keys'];
    const shape = features['shape'];
    const length = Array.isArray(shape) && shape.length === 1 ? (shape[0] as unknown) : undefined;
    if (typeof length !== 'number' || !Number.isInteger(length) || length < 1 || length > MOST_FEATURES) {
      throw this.wrong(`its shape is not one number from 1 to ${MOST_FEATURES}`);
    }
    if (!Array.isArray(keys) || keys.length !== values.length) throw this.wrong('its keys and values differ in number');
    const row: unknown[] = new Array(length).fill(0);
    const taken = new Set<unknown>();
    keys.forEach((key: unknown, k) => {
      if (typeof key !== 'number' || !Number.isInteger(key) || key < 0 || key >= length || taken.has(key)) {
        throw this.wrong(`its key ${describe(key)} is not a position of its own from 0 to ${length - 1}`);
      }
      taken.add(key);
      row[key] = values[k];
    });
    return row;
  }

  private add(row: number[], key: string | undefined): void {
    if (row.length === 0) throw this.wrong('it has no values');
    if (row.length > MOST_FEATURES) throw this.wrong(`it has ${row.length} values; the most is ${MOST_FEATURES}`);
    const first = this.rows[0];
    if (first && first.length !== row.length) {
      throw this.wrong(`it has ${row.length} values, row 1 has ${first.length}`);
    }
    for (let column = 0; column < row.length; column++) {
      // Forests compute with 32-bit floats; beyond 2^127 two of them have no finite difference.
      // The test is on the 32-bit number, which may be larger.
      if (!(Math.abs(Math.fround(row[column]!)) < 2 ** 127))
        throw this.wrong(`value ${column + 1} is not a finite 32-bit number`);
    }
    this.rows.push(row);
    this.keys.push(key);
    if (key !== undefined) this.keyed = true;
  }

  private wrong(what: string): ReturnType<typeof modelError> {
    return modelError(`row ${this.rows.length + 1}: ${what}`);
  }
}

function describe(value: unknown): string {
  return value === undefined ? 'missing' : (JSON.stringify(value)?.slice(0, 40) ?? typeof value);
}
