/** Standard output and error of a command, and what kind of place they are. */
export interface Terminal {
  /** A line on standard output. */
  print(line?: string): void;
  /** A line on standard error: progress, warnings, errors. */
  warn(line: string): void;
  /** Bytes as they are on standard output (live views). */
  write(text: string): void;
  /** Standard output is a terminal that a person looks at, and colours are welcome (`NO_COLOR`, `TERM=dumb`, `CI`). */
  readonly isInteractive: boolean;
  readonly columns: number;
  style(style: Style, text: string): string;
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

const codes: Record<Style, readonly [number, number]> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/** The process's own terminal. `NO_COLOR` (any value but empty) turns colour and live views off. */
export function processTerminal(): Terminal {
  const environment = process.env;
  const isInteractive =
    process.stdout.isTTY === true && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb' && !environment['CI'];
  return {
    print: (line = '') => process.stdout.write(`${line}\n`),
    warn: (line) => process.stderr.write(`${line}\n`),
    write: (text) => process.stdout.write(text),
    isInteractive,
    get columns() {
      return process.stdout.columns ?? 80;
    },
    style: (style, text) => (isInteractive ? `\u001b[${codes[style][0]}m${text}\u001b[${codes[style][1]}m` : text),
  };
}
