import type { Terminal } from '../cli/terminal.ts';

/** What the view shows; the observer keeps it up to date. */
export interface ViewState {
  readonly produced: number;
  readonly total: number;
  readonly scored: number;
  readonly recordsPerSecond: number;
  readonly lag: number;
  readonly invocations: number;
  readonly alerts: number;
  /** Highest score of each tick, newest last. */
  readonly scores: readonly number[];
  readonly threshold: number;
}

export interface View {
  /** A line that stays: an alert, a step. */
  line(text: string): void;
  update(state: ViewState): void;
  close(): void;
}

const chartHeight = 6;
const redrawMilliseconds = 150;

/** A live view on a terminal; calm lines, about one in two seconds, everywhere else; nothing at all when `silent`. */
export function createView(terminal: Terminal, silent: boolean): View {
  if (silent) return { line: () => {}, update: () => {}, close: () => {} };
  return terminal.isInteractive ? liveView(terminal) : plainView(terminal);
}

function plainView(terminal: Terminal): View {
  let last = 0;
  return {
    line: (text) => terminal.print(text),
    update(state) {
      const now = performance.now();
      if (now - last < 2000 || state.scored === 0) return;
      last = now;
      terminal.print(statusLine(state));
    },
    close() {},
  };
}

function liveView(terminal: Terminal): View {
  let drawn = 0;
  let last = 0;
  let latest: ViewState | undefined;
  const erase = (): void => {
    if (drawn > 0) terminal.write(`\u001b[${drawn}A\u001b[0J`);
    drawn = 0;
  };
  const draw = (state: ViewState): void => {
    const width = Math.max(40, Math.min(terminal.columns, 100));
    const lines = [
      ...chart(state, width, terminal),
      progressBar(state, width, terminal),
      statusLine(state).slice(0, width),
    ];
    terminal.write(`${lines.join('\n')}\n`);
    drawn = lines.length;
  };
  terminal.write('\u001b[?25l');
  return {
    line(text) {
      erase();
      terminal.print(text);
      if (latest) draw(latest);
    },
    update(state) {
      latest = state;
      const now = performance.now();
      if (now - last < redrawMilliseconds) return;
      last = now;
      erase();
      draw(state);
    },
    close() {
      erase();
      if (latest) draw(latest);
      drawn = 0;
      latest = undefined;
      terminal.write('\u001b[?25h');
    },
  };
}

function statusLine(state: ViewState): string {
  const part = state.total > 0 ? ` of ${state.total.toLocaleString('en-US')}` : '';
  return [
    `${state.scored.toLocaleString('en-US')}${part} scored`,
    `${Math.round(state.recordsPerSecond).toLocaleString('en-US')} records/s`,
    `lag ${state.lag.toLocaleString('en-US')}`,
    `${state.invocations.toLocaleString('en-US')} invocations`,
    `${state.alerts} alerts`,
  ].join('  ');
}

function progressBar(state: ViewState, width: number, terminal: Terminal): string {
  const inner = width - 2;
  const share = state.total > 0 ? Math.min(1, state.scored / state.total) : 0;
  const filled = Math.round(inner * share);
  return `[${terminal.style('green', '█'.repeat(filled))}${terminal.style('dim', '·'.repeat(inner - filled))}]`;
}

/** The scores as columns of text, the threshold as a line across. */
function chart(
  state: Pick<ViewState, 'scores' | 'threshold'>,
  width: number,
  terminal: Pick<Terminal, 'style'>,
): string[] {
  const columns = state.scores.slice(-(width - 6));
  const top = Math.max(state.threshold * 1.5, ...columns, 1);
  const levels = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
  const thresholdRow = Math.min(chartHeight - 1, Math.floor((state.threshold / top) * chartHeight));
  const rows: string[] = [];
  for (let row = chartHeight - 1; row >= 0; row -= 1) {
    const label = row === thresholdRow ? state.threshold.toFixed(1) : row === chartHeight - 1 ? top.toFixed(1) : '';
    let text = '';
    for (const value of columns) {
      const height = (value / top) * chartHeight - row;
      const cell = height <= 0 ? (row === thresholdRow ? '╌' : ' ') : levels[Math.min(7, Math.floor(height * 8))]!;
      text += height > 0 && value > state.threshold ? terminal.style('red', cell) : cell;
    }
    const rest = Math.max(0, width - 6 - columns.length);
    rows.push(`${label.padStart(5)} ${text}${(row === thresholdRow ? '╌' : ' ').repeat(rest)}`);
  }
  return rows;
}
