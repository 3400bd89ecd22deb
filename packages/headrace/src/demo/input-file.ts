import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { HeadraceError } from '../errors.ts';
import { parseAccessLogLine } from './access-log.ts';
import { csvRows, findDelimiter, textLines } from './delimited.ts';
import type { LabelledIncident } from './labels.ts';

export type InputFormat = 'CSV' | 'JSON lines' | 'access log';

/** A user's file, read and understood. */
export interface InputFile {
  readonly format: InputFormat;
  /** Number of records. */
  readonly count: number;
  /** Numbers to score, as `ANOMALY_FEATURES` takes them: paths into the record's JSON, maybe with a weight. */
  readonly features: readonly string[];
  /** The records as JSON texts, in the order of the file; a line that cannot be read comes as it is. */
  records(): Iterable<string>;
  /** From a column `label` (0 or 1, with `kind` beside it if it is there); undefined without one. */
  readonly incidents: readonly LabelledIncident[] | undefined;
  /** Median time between two records in seconds; undefined when they have no times. */
  readonly stepSeconds: number | undefined;
}

const LARGEST_FILE = 2 ** 30;
/** A field counts as a number when so large a share of its values are numbers. */
const NUMERIC_SHARE = 0.9;
/** And where a value is absent in more than half of the records, the column is no series to score. */
const FILLED_SHARE = 0.5;
const timeNames = /^(@?timestamp|time|date|datetime|date_time|ts)$/i;
const labelNames = /^(label|is_anomaly|anomaly)$/i;
const kindNames = /^(kind|label_kind|anomaly_kind)$/i;

const unreadable = (message: string): HeadraceError => new HeadraceError('INPUT_UNREADABLE', message);

/**
 * Reads a file of records: CSV with a header (comma, semicolon or tab), JSON lines, or an Apache or nginx log in the
 * combined (or common) format; which one, its first line tells.
 *
 * @param columns the numbers to score, `NAME` or `NAME*WEIGHT`; by default every one there is, save times and labels.
 * @throws HeadraceError `INPUT_UNREADABLE`: no file, no text, no records, no numbers; `USAGE`: no such column.
 */
export function readInputFile(path: string, columns?: readonly string[]): InputFile {
  const bytes = readBytes(path);
  const first = textLines(bytes).next().value;
  if (first === undefined || first.trim() === '') throw unreadable(`${path} is empty`);
  const source = basename(path);
  const reader = /^\s*\{/.test(first)
    ? jsonLinesReader(bytes)
    : parseAccessLogLine(first, source)
      ? accessLogReader(bytes, source)
      : csvReader(bytes, first, source);
  return survey(path, reader, columns);
}

function readBytes(path: string): Buffer {
  let bytes: Buffer;
  try {
    const { size } = statSync(path);
    if (size > LARGEST_FILE) throw unreadable(`${path} has ${size} bytes; at most ${LARGEST_FILE} are read`);
    bytes = readFileSync(path);
  } catch (error) {
    if (error instanceof HeadraceError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      ENOENT: 'there is no such file',
      EACCES: 'permission denied',
      EISDIR: 'it is a directory',
    };
    throw unreadable(`${path} cannot be read: ${reasons[code ?? ''] ?? message}`);
  }
  if (bytes.length === 0) throw unreadable(`${path} is empty`);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) throw unreadable(`${path} is compressed with gzip: unpack it first`);
  if (bytes.subarray(0, 4096).includes(0)) throw unreadable(`${path} is not a text in UTF-8`);
  return bytes;
}

/** One record of a file: what is sent, and its fields by path for the survey. */
interface ReadRecord {
  text: string;
  /** Undefined: the line could not be read. */
  fields: Map<string, unknown> | undefined;
}

interface Reader {
  format: InputFormat;
  /** Fields by name as the user knows them; empty when only the records tell. */
  header: readonly string[];
  read(): Iterable<ReadRecord>;
}

function jsonLinesReader(bytes: Buffer): Reader {
  return {
    format: 'JSON lines',
    header: [],
    *read() {
      for (const text of textLines(bytes)) {
        let value: unknown;
        try {
          value = JSON.parse(text);
        } catch {
          // The handler stores such a line with the reason.
        }
        yield { text, fields: isObject(value) ? flatten(value) : undefined };
      }
    },
  };
}

function accessLogReader(bytes: Buffer, source: string): Reader {
  return {
    format: 'access log',
    header: [],
    *read() {
      for (const line of textLines(bytes)) {
        const entry = parseAccessLogLine(line, source);
        yield entry ? { text: JSON.stringify(entry), fields: flatten(entry) } : { text: line, fields: undefined };
      }
    },
  };
}

function csvReader(bytes: Buffer, headerLine: string, source: string): Reader {
  const delimiter = findDelimiter(headerLine);
  const [titles = []] = csvRows(bytes, delimiter);
  if (titles.every((title) => Number.isFinite(numberOf(title)))) {
    throw unreadable('the first line of a CSV must name its columns; here it holds only numbers');
  }
  const names = columnNames(titles);
  return {
    format: 'CSV',
    header: names,
    *read() {
      let isHeader = true;
      for (const row of csvRows(bytes, delimiter)) {
        if (isHeader) {
          isHeader = false;
          continue;
        }
        const object: Record<string, unknown> = { source };
        for (const [i, name] of names.entries()) {
          const text = (row[i] ?? '').trim();
          const number = numberOf(text);
          object[name] = text === '' ? null : Number.isFinite(number) ? number : text;
        }
        const time = names.find((name) => timeNames.test(name));
        const iso = time === undefined ? undefined : isoTime(object[time]);
        if (iso !== undefined) object['timestamp'] = iso;
        yield { text: JSON.stringify(object), fields: new Map(Object.entries(object)) };
      }
    },
  };
}

/** Names that can stand in a feature list: no dots, stars and commas; unique. */
function columnNames(titles: readonly string[]): string[] {
  const names: string[] = [];
  for (const [i, title] of titles.entries()) {
    const plain = title.trim().replace(/[.*,]/g, '_') || `column_${i + 1}`;
    let name = plain;
    for (let n = 2; names.includes(name); n += 1) name = `${plain}_${n}`;
    names.push(name);
  }
  return names;
}

/** Goes over all records once: how many, which fields are numbers, labels, times. */
function survey(path: string, reader: Reader, columns: readonly string[] | undefined): InputFile {
  const numbers = new Map<string, number>();
  const others = new Map<string, number>();
  const known = new Set<string>(reader.header);
  const incidents: { kind: string; firstRecord: number; endRecord: number }[] = [];
  const steps: number[] = [];
  let hasLabels = false;
  let lastTime = Number.NaN;
  let count = 0;
  let readable = 0;
  for (const { fields } of reader.read()) {
    const index = count++;
    if (!fields) continue;
    readable += 1;
    for (const [name, value] of fields) {
      known.add(name);
      if (typeof value === 'number') numbers.set(name, (numbers.get(name) ?? 0) + 1);
      else if (value !== null) others.set(name, (others.get(name) ?? 0) + 1);
      if (labelNames.test(name) && (value === 0 || value === 1)) {
        hasLabels = true;
        if (value === 1) addLabel(incidents, index, kindOf(fields));
      }
    }
    const time = Date.parse(String(fields.get('timestamp')));
    if (steps.length < 10_000 && time > lastTime) steps.push((time - lastTime) / 1_000);
    if (!Number.isNaN(time)) lastTime = time;
  }
  if (count === 0) throw unreadable(`${path} has a header and no records`);
  // An empty cell says nothing about its column, as long as most cells are not empty.
  const isNumeric = (name: string, times: number): boolean =>
    times >= NUMERIC_SHARE * (times + (others.get(name) ?? 0)) && times >= FILLED_SHARE * readable;
  const numeric = [...numbers].filter(([name, times]) => isNumeric(name, times) && !isAside(name));
  const chosen = columns ?? numeric.map(([name]) => name);
  const listed = (names: Iterable<string>): string => [...names].slice(0, 20).join(', ') || 'none';
  if (chosen.length === 0) {
    const what = `${path} has no column of numbers to score`;
    if (reader.format !== 'CSV') throw unreadable(`${what}; it was read as ${reader.format}`);
    const names = reader.header.map((name) => name.slice(0, 60));
    throw unreadable(`${what}; it was read as CSV with the header: ${listed(names)}`);
  }
  for (const column of chosen) {
    const name = column.split('*')[0]!.trim();
    if (!known.has(name)) {
      throw new HeadraceError('USAGE', `${path} has no column ${name}; its columns: ${listed(known)}`);
    }
    if (!numbers.has(name)) throw unreadable(`${path}: the column ${name} holds no numbers`);
  }
  return {
    format: reader.format,
    count,
    features: chosen,
    incidents: hasLabels ? incidents : undefined,
    stepSeconds: steps.length === 0 ? undefined : steps.sort((a, b) => a - b)[steps.length >> 1],
    *records() {
      for (const { text } of reader.read()) yield text;
    },
  };
}

const isAside = (name: string): boolean => timeNames.test(name) || labelNames.test(name);

function kindOf(fields: Map<string, unknown>): string {
  for (const [name, value] of fields) if (kindNames.test(name) && value !== null && value !== '') return String(value);
  return 'labelled';
}

/** Neighbouring records with the same label are one incident. */
function addLabel(incidents: { kind: string; firstRecord: number; endRecord: number }[], index: number, kind: string) {
  const last = incidents.at(-1);
  if (last?.kind === kind && last.endRecord === index) last.endRecord = index + 1;
  else incidents.push({ kind, firstRecord: index, endRecord: index + 1 });
}

/** Decimal numbers only: `0x10`, `Infinity` and an empty text are none. */
function numberOf(text: string): number {
  return /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/.test(text) ? Number(text) : Number.NaN;
}

/** ISO 8601 from what files write: the same with a blank, without a zone (UTC), or seconds or milliseconds since 1970. */
function isoTime(value: unknown): string | undefined {
  let time = Number.NaN;
  if (typeof value === 'number') time = value > 1e11 ? value : value * 1_000;
  else if (typeof value === 'string') {
    const text = value.trim().replace(/^(\d{4}-\d\d-\d\d) (?=\d)/, '$1T');
    const hasZone = /(Z|[+-]\d\d:?\d\d)$/.test(text);
    time = Date.parse(/^\d{4}-\d\d-\d\dT[\d:.]+$/.test(text) && !hasZone ? `${text}Z` : text);
  }
  return Math.abs(time) < 8.64e15 ? new Date(time).toISOString() : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Members by dotted path; a name that holds a dot, a star or a comma cannot be asked for and is left out. */
function flatten(value: object, prefix = '', into = new Map<string, unknown>(), depth = 0): Map<string, unknown> {
  for (const [name, member] of Object.entries(value)) {
    if (/[.*,]/.test(name)) continue;
    if (isObject(member) && depth < 5) flatten(member, `${prefix}${name}.`, into, depth + 1);
    else into.set(prefix + name, member);
  }
  return into;
}
