import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

/** One CSV file of measurements. */
export interface Series {
  /** Path below the data folder, with `/`. */
  readonly path: string;
  readonly timestamps: readonly string[];
  /** Rows of numbers. */
  readonly values: readonly number[][];
  /** Labels by row, where the file has a column `label`. */
  readonly labels: Uint8Array | undefined;
}

export type Windows = Readonly<Record<string, readonly (readonly [string, string])[]>>;

/** Every CSV below a folder whose header begins with `timestamp` and has the columns; sorted by path. */
export function readSeries(folder: string, columns: readonly string[]): Series[] {
  const found: Series[] = [];
  const walk = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.name.endsWith('.csv')) {
        const series = parse(readFileSync(path, 'utf8'), relative(folder, path).split(sep).join('/'), columns);
        if (series) found.push(series);
      }
    }
  };
  walk(folder);
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function parse(text: string, path: string, columns: readonly string[]): Series | undefined {
  const lines = text.split(/\r?\n/).filter((line) => line !== '');
  const header = lines[0]?.split(',').map((name) => name.trim()) ?? [];
  const positions = columns.map((name) => header.indexOf(name));
  if (header[0] !== 'timestamp' || positions.includes(-1)) return undefined;
  const labelAt = header.indexOf('label');
  const cells = lines.slice(1).map((line) => line.split(','));
  const values = cells.map((row, k) =>
    positions.map((at) => {
      const value = Number(row[at]);
      if (row[at] === undefined || row[at].trim() === '' || !Number.isFinite(value)) {
        throw new Error(`${path}, line ${k + 2}: ${header[at]} is ${JSON.stringify(row[at])}, not a number`);
      }
      return value;
    }),
  );
  return {
    path,
    timestamps: cells.map((row) => row[0]!),
    values,
    labels: labelAt < 0 ? undefined : Uint8Array.from(cells, (row) => Number(row[labelAt])),
  };
}

/** The windows file: the one named, else `labels/combined_windows.json` in the data folder or one above. */
export function readWindows(folder: string, named: string | undefined): Windows | undefined {
  const places = named
    ? [named]
    : [folder, join(folder, '..')].map((at) => join(at, 'labels', 'combined_windows.json'));
  const path = places.find((place) => existsSync(place));
  if (named && !path) throw new Error(`there is no file ${named}`);
  return path === undefined ? undefined : (JSON.parse(readFileSync(path, 'utf8')) as Windows);
}

/**
 * The windows of a series. The file of windows may name as much of the path as it likes, or more than there is when the
 * data folder lies deeper than the one it was written for; then the name must be clear.
 */
export function windowsOf(windows: Windows, path: string): readonly (readonly [string, string])[] | undefined {
  const parts = path.split('/');
  for (let k = 0; k < parts.length; k++) {
    const found = windows[parts.slice(k).join('/')];
    if (found) return found;
  }
  const longer = Object.keys(windows).filter((name) => name.endsWith(`/${path}`));
  return longer.length === 1 ? windows[longer[0]!] : undefined;
}
