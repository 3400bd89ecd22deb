import type { Scored } from './score-table.ts';
import type { Table } from './table.ts';

const WIDTH = 1200;
const LEFT = 84;
const RIGHT = 24;
const PANEL = 170;
const SCORE_PANEL = 150;
const GAP = 44;
const TOP = 64;
const INK = '#1f2933';
const MUTED = '#7b8794';
const GRID = '#e4e7eb';
const LINE = '#2b6cb0';
const SCORE = '#6b46c1';
const ALARM = '#c53030';
/** Columns that are drawn; more would not be read. */
const MOST_PANELS = 8;

/** An SVG that stands by itself: each column over time, the score below, the threshold across it, anomalies marked. */
export function plotScores(title: string, table: Table, scored: Scored): string {
  const { scores, threshold, anomalies } = scored;
  const count = scores.length;
  const x = (t: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * t) / Math.max(1, count - 1);
  const shown = table.columns.slice(0, MOST_PANELS);
  const height = TOP + shown.length * (PANEL + GAP) + SCORE_PANEL + 56;
  const parts: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="${escapeText(title)}">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(LEFT, 28, title, { size: 17, fill: INK, weight: 600 }),
    text(
      LEFT,
      48,
      `${count} rows, ${anomalies.length} ${anomalies.length === 1 ? 'anomaly' : 'anomalies'} at ${threshold.toFixed(2)}`,
      { fill: MUTED },
    ),
  ];
  const panel = (
    top: number,
    tall: number,
    name: string,
    values: ArrayLike<number>,
    color: string,
    from?: number,
  ): ((value: number) => number) => {
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let t = 0; t < count; t++) {
      low = Math.min(low, values[t]!);
      high = Math.max(high, values[t]!);
    }
    if (from !== undefined) [low, high] = [from, Math.max(high, threshold * 1.15)];
    if (low === high) [low, high] = [low - 1, high + 1];
    const y = (value: number): number => top + tall - ((value - low) / (high - low)) * tall;
    parts.push(text(LEFT, top - 10, name, { fill: color, weight: 600 }));
    for (const value of [low, (low + high) / 2, high]) {
      parts.push(
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(y(value))}" y2="${round(y(value))}" stroke="${GRID}"/>`,
      );
      parts.push(text(LEFT - 8, y(value) + 4, short(value), { fill: MUTED, anchor: 'end' }));
    }
    parts.push(
      `<path d="${path(values, count, x, y)}" fill="none" stroke="${color}" stroke-width="1.2" stroke-linejoin="round"/>`,
    );
    return y;
  };
  shown.forEach((name, j) => {
    const values = table.rows.map((row) => row[j]!);
    const y = panel(TOP + 24 + j * (PANEL + GAP), PANEL, name, values, LINE);
    for (const { peak } of anomalies) {
      parts.push(
        `<circle cx="${round(x(peak))}" cy="${round(y(values[peak]!))}" r="4" fill="none" stroke="${ALARM}" stroke-width="1.6"/>`,
      );
    }
  });
  const top = TOP + 24 + shown.length * (PANEL + GAP);
  const y = panel(top, SCORE_PANEL, 'anomaly score', scores, SCORE, 0);
  parts.push(
    `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(y(threshold))}" y2="${round(y(threshold))}" stroke="${ALARM}" stroke-dasharray="6 4"/>`,
    text(WIDTH - RIGHT, y(threshold) - 6, `threshold ${threshold.toFixed(2)}`, { fill: ALARM, anchor: 'end' }),
  );
  for (const { peak, score } of anomalies) {
    parts.push(
      `<circle cx="${round(x(peak))}" cy="${round(y(score))}" r="4" fill="${ALARM}"><title>${escapeText(`${table.names[peak]}: ${score.toFixed(3)}`)}</title></circle>`,
    );
  }
  const middle = Math.floor((count - 1) / 2);
  for (const [t, anchor] of [
    [0, 'start'],
    [middle, 'middle'],
    [count - 1, 'end'],
  ] as const) {
    parts.push(text(x(t), top + SCORE_PANEL + 22, table.names[t]!, { fill: MUTED, anchor }));
  }
  parts.push('</svg>');
  return `${parts.join('\n')}\n`;
}

/** A polyline; where rows are denser than pixels, each pixel shows its smallest and largest value, so no spike is lost. */
function path(
  values: ArrayLike<number>,
  count: number,
  x: (t: number) => number,
  y: (value: number) => number,
): string {
  const step = Math.max(1, Math.ceil(count / (WIDTH - LEFT - RIGHT)));
  const points: string[] = [];
  for (let from = 0; from < count; from += step) {
    let [least, most] = [from, from];
    for (let t = from + 1; t < Math.min(count, from + step); t++) {
      if (values[t]! < values[least]!) least = t;
      if (values[t]! > values[most]!) most = t;
    }
    for (const t of least === most ? [least] : [Math.min(least, most), Math.max(least, most)]) {
      points.push(`${round(x(t))},${round(y(values[t]!))}`);
    }
  }
  return `M${points.join('L')}`;
}

function text(
  x: number,
  y: number,
  content: string,
  { fill, size, weight, anchor }: { fill: string; size?: number; weight?: number; anchor?: string },
): string {
  const more = `${size ? ` font-size="${size}"` : ''}${weight ? ` font-weight="${weight}"` : ''}${anchor ? ` text-anchor="${anchor}"` : ''}`;
  return `<text x="${round(x)}" y="${round(y)}" fill="${fill}"${more}>${escapeText(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}

/** File and column names are the user's and must stay text in the picture. */
function escapeText(content: string): string {
  return content.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
