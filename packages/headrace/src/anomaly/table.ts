import { HeadraceError } from '../errors.ts';
import { LastValue } from './features.ts';

/** Columns of numbers from a CSV file. */
export interface Table {
  /** Texts of the first column when it is no number (timestamps), else the row's number. */
  readonly names: readonly string[];
  readonly columns: readonly string[];
  readonly rows: readonly number[][];
  /** Cells that held no number and got the last value of their column. */
  readonly filled: number;
}

/** Numbers are scored in 32 bits, and scaled ones must fit too. */
const LARGEST = 2 ** 120;

const NOT_VALUES = /^(timestamp|time|date|datetime|label|kind|id)$/i;

/**
 * Reads a CSV with or without a header. Without `wanted` every column of numbers is taken but those called like times
 * and labels. Throws HeadraceError `INPUT_UNREADABLE` naming column or line.
 */
export function readTable(text: string, wanted: readonly string[] | undefined): Table {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const cells = lines.map(cellsOf);
  const first = cells[0];
  if (!first) throw unreadable('the file is empty');
  const hasHeader = first.some((cell) => cell !== '' && !isNumeric(cell)) && !looksLikeData(first, cells[1]);
  const header = hasHeader ? first : first.map((_, k) => `column${k + 1}`);
  const body = hasHeader ? cells.slice(1) : cells;
  if (body.length === 0) throw unreadable('there is no row below the header');
  const columns =
    wanted ??
    header.filter((name, k) => !NOT_VALUES.test(name) && body.slice(0, 50).some((row) => isNumeric(row[k] ?? '')));
  const positions = columns.map((name) => {
    const at = header.indexOf(name);
    if (at < 0) throw unreadable(`there is no column ${name}; there are ${header.join(', ')}`);
    return at;
  });
  if (positions.length === 0) throw unreadable('no column holds numbers');
  const last = positions.map(() => new LastValue());
  let filled = 0;
  const rows: number[][] = [];
  const names: string[] = [];
  body.forEach((row, k) => {
    const values = positions.map((at, j) => {
      const cell = row[at] ?? '';
      const value = isNumeric(cell) ? Number(cell) : undefined;
      if (value === undefined) filled++;
      else if (Math.abs(value) >= LARGEST) {
        throw unreadable(
          `row ${k + 1} of column ${columns[j]} is ${cell}; numbers must be below 2^120 (1.3e36) in size`,
        );
      }
      return last[j]!.fill(value);
    });
    // Before a column's first number there is nothing to repeat.
    if (values.some((value) => value === undefined)) return;
    rows.push(values as number[]);
    names.push(isNumeric(row[0] ?? '') || row[0] === undefined ? `row ${k + 1}` : row[0]);
  });
  if (rows.length === 0) throw unreadable(`no row has a number in each of ${columns.join(', ')}`);
  return { names, columns, rows, filled };
}

/** The cells of a line; within quotes a comma is text and two quotes are one (RFC 4180), but a line's end ends the row. */
function cellsOf(line: string): string[] {
  if (!line.includes('"')) return line.split(',').map((cell) => cell.trim());
  const cells = line.match(/(?<=^|,)(?:\s*"(?:[^"]|"")*"\s*(?=,|$)|[^,]*)/g) ?? [];
  return cells.map((cell) => cell.trim().replace(/^"(.*)"$/, (_, text: string) => text.replaceAll('""', '"')));
}

function isNumeric(cell: string): boolean {
  return cell !== '' && Number.isFinite(Number(cell));
}

/** A first line whose numbers stand where the second has numbers is no header. */
function looksLikeData(first: readonly string[], second: readonly string[] | undefined): boolean {
  return second !== undefined && first.some((cell, k) => isNumeric(cell) && isNumeric(second[k] ?? ''));
}

function unreadable(what: string): HeadraceError {
  return new HeadraceError('INPUT_UNREADABLE', what);
}
