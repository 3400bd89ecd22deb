import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { plotScores } from '../../anomaly/plot.ts';
import { type Scored, scoreTable } from '../../anomaly/score-table.ts';
import { readTable, type Table } from '../../anomaly/table.ts';
import { HeadraceError } from '../../errors.ts';
import type { Command } from '../command.ts';

export const command: Command = {
  usage: 'anomaly FILE [--columns A,B] [--plot out.svg] [options]',
  description:
    'Scores a CSV file of measurements with a Random Cut Forest, row by row as a stream would, and prints what stands ' +
    'out: when, how far, and which column. A score is about 0.5 to 1 for ordinary rows; the threshold follows from ' +
    'features and shingle unless you name one. Join rows to shingles (4 to 8) for regular measurements; leave the shingle ' +
    'at 1 for records of many independent clients.',
  positionals: ['FILE'],
  options: {
    columns: { type: 'string', value: 'A,B', description: 'columns to score (default: all that hold numbers)' },
    features: {
      type: 'string',
      value: 'MODE',
      description: 'raw or scaled, each column by its own deviation (default: raw for one column, else scaled)',
    },
    shingle: { type: 'string', value: 'N', description: 'rows joined to a point, 1 to 100 (default 1)' },
    trees: { type: 'string', value: 'N', description: 'trees, 1 to 1,000 (default 50)' },
    samples: { type: 'string', value: 'N', description: 'samples a tree, 1 to 2,048 (default 256)' },
    threshold: { type: 'string', value: 'X', description: 'score at which a row stands out (default: by the above)' },
    seed: { type: 'string', value: 'N', description: 'seed of the forest (default 1)' },
    top: { type: 'string', value: 'N', description: 'anomalies to print, 1 to 10,000 (default 10)' },
    plot: { type: 'string', value: 'FILE', description: 'draw columns, score and threshold as an SVG' },
    out: { type: 'string', value: 'FILE', description: 'write a CSV with the score of every row' },
    json: { type: 'boolean', description: 'one JSON document instead of a table' },
  },
  examples: [
    { line: 'headrace anomaly cpu.csv --shingle 8 --plot cpu.svg', does: 'what stands out in a regular measurement' },
    { line: 'headrace anomaly access.csv --columns response_ms,status,bytes', does: 'single requests, three columns' },
  ],
  async run({ positionals, options, terminal }) {
    const file = positionals[0]!;
    let content: string;
    try {
      content = await readFile(file, 'utf8');
    } catch (cause) {
      throw new HeadraceError(
        'INPUT_UNREADABLE',
        `${file}: ${cause instanceof Error ? cause.message : String(cause)}`,
        { cause },
      );
    }
    const columns = options
      .string('columns')
      ?.split(',')
      .map((name) => name.trim());
    const table = tableOf(file, content, columns);
    const scored = scoreTable(table, {
      features: options.oneOf('features', ['raw', 'scaled']) ?? (table.columns.length === 1 ? 'raw' : 'scaled'),
      shingleSize: options.integer('shingle', { minimum: 1, maximum: 100 }) ?? 1,
      numberOfTrees: options.integer('trees', { minimum: 1, maximum: 1000 }) ?? 50,
      sampleSize: options.integer('samples', { minimum: 1, maximum: 2048 }) ?? 256,
      threshold: options.number('threshold', { minimum: 0, maximum: 16 }),
      randomSeed: options.integer('seed', { minimum: 0, maximum: 2 ** 32 - 1 }) ?? 1,
    });
    const top = options.integer('top', { minimum: 1, maximum: 10_000 }) ?? 10;
    const strongest = [...scored.anomalies].sort((a, b) => b.score - a.score).slice(0, top);
    const plot = options.string('plot');
    if (plot !== undefined) await writeOutput(plot, plotScores(basename(file), table, scored));
    const out = options.string('out');
    if (out !== undefined) {
      await writeOutput(
        out,
        `row,score\n${table.names.map((name, t) => `${cell(name)},${scored.scores[t]}\n`).join('')}`,
      );
    }
    if (options.boolean('json')) {
      const anomalies = strongest.map((anomaly) => ({
        at: table.names[anomaly.peak],
        row: anomaly.peak,
        rows: [anomaly.from, anomaly.to],
        score: anomaly.score,
        columns: anomaly.columns,
        values: table.rows[anomaly.peak],
      }));
      terminal.print(
        JSON.stringify({
          file,
          rows: table.rows.length,
          filled: table.filled,
          columns: table.columns,
          threshold: scored.threshold,
          warmUp: scored.warmUp,
          found: scored.anomalies.length,
          anomalies,
        }),
      );
      return 0;
    }
    terminal.print(
      `${table.rows.length} rows of ${table.columns.join(', ')}; scores begin after ${scored.warmUp} rows`,
    );
    if (table.filled > 0) terminal.warn(`${table.filled} cells held no number; the last value was repeated`);
    const count = scored.anomalies.length;
    terminal.print(`${count} ${count === 1 ? 'anomaly' : 'anomalies'} at threshold ${scored.threshold.toFixed(2)}`);
    for (const line of describe(table, strongest)) terminal.print(line);
    if (plot !== undefined) terminal.print(`drawn in ${plot}`);
    return 0;
  },
};

function tableOf(file: string, content: string, columns: readonly string[] | undefined): Table {
  try {
    return readTable(content, columns);
  } catch (cause) {
    if (!HeadraceError.is(cause)) throw cause;
    throw new HeadraceError(cause.code, `${file}: ${cause.message}`, { cause });
  }
}

async function writeOutput(path: string, content: string): Promise<void> {
  try {
    await writeFile(path, content);
  } catch (cause) {
    throw new HeadraceError('OUTPUT_UNWRITABLE', `${path}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

/** A cell of a CSV file (RFC 4180). */
function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function describe(table: Table, anomalies: Scored['anomalies']): string[] {
  const width = Math.max(0, ...anomalies.map(({ peak }) => table.names[peak]!.length));
  return anomalies.map(({ peak, from, to, score, columns }) => {
    const cause = columns[0]!;
    const value = table.rows[cause.row]![table.columns.indexOf(cause.name)];
    const rows = to > from ? `${to - from + 1} rows` : '1 row';
    return (
      `  ${score.toFixed(3)}  ${table.names[peak]!.padEnd(width)}  ${rows.padStart(8)}  ` +
      `${cause.name} ${value} too ${cause.direction} (${Math.round(cause.share * 100)} %)`
    );
  });
}
