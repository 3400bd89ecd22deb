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
/** Width of a character, about; a picture has no font of its own to measure. */
const CHARACTER = 7.5;
/** Anomalies whose time is written beside them. */
const MOST_NAMES = 8;
/** Share of a score from which a column's value is ringed. */
const RINGED = 0.25;
/** Columns that are drawn; more would not be read. */
const MOST_PANELS = 8;

/** An SVG that stands by itself: each column over time, the score below, the threshold across it, anomalies marked. */
export function plotScores(title: string, table: Table, scored: Scored): string {
  const { scores, threshold, anomalies, warmUp } = scored;
  const count = scores.length;
  const x = (t: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * t) / Math.max(1, count - 1);
  const shown = table.columns.slice(0, MOST_PANELS);
  const bottom = TOP + 24 + shown.length * (PANEL + GAP) + SCORE_PANEL;
  const height = bottom + 32;
  const parts: string[] = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="${escapeText(title)}">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(LEFT, 28, title, { size: 17, fill: INK, weight: 600 }),
    text(
      LEFT,
      48,
      `${count.toLocaleString('en')} rows, ${anomalies.length} ${anomalies.length === 1 ? 'anomaly' : 'anomalies'} at ${threshold.toFixed(2)}`,
      { fill: MUTED },
    ),
  ];
  const line = (x1: number, y1: number, x2: number, y2: number, stroke: string, more = ''): string =>
    `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${stroke}"${more}/>`;
  for (const { peak } of anomalies) {
    parts.push(line(x(peak), TOP + 24, x(peak), bottom, ALARM, ' stroke-opacity="0.35" stroke-dasharray="2 3"'));
  }
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
    const ticks = ticksOf(low, high);
    // Up to the ticks around the data, so that the extremes are inside the picture.
    [low, high] = [ticks[0]!, ticks.at(-1)!];
    const y = (value: number): number => top + tall - ((value - low) / (high - low)) * tall;
    parts.push(text(LEFT, top - 10, name, { fill: color, weight: 600 }));
    for (const value of ticks) {
      parts.push(line(LEFT, y(value), WIDTH - RIGHT, y(value), GRID));
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
    for (const { columns } of anomalies) {
      const own = columns.find((column) => column.name === name);
      if (!own || own.share < RINGED) continue;
      parts.push(
        `<circle cx="${round(x(own.row))}" cy="${round(y(values[own.row]!))}" r="4" fill="none" stroke="${ALARM}" stroke-width="1.6"/>`,
      );
    }
  });
  const top = bottom - SCORE_PANEL;
  const warm = x(Math.min(warmUp, count - 1)) - LEFT;
  parts.push(
    `<rect x="${LEFT}" y="${top}" width="${round(warm)}" height="${SCORE_PANEL}" fill="${GRID}"><title>no scores yet</title></rect>`,
  );
  const y = panel(top, SCORE_PANEL, 'anomaly score', scores, SCORE, 0);
  parts.push(
    line(LEFT, y(threshold), WIDTH - RIGHT, y(threshold), ALARM, ' stroke-dasharray="6 4"'),
    text(LEFT + 6, y(threshold) - 6, `threshold ${threshold.toFixed(2)}`, { fill: ALARM }),
  );
  for (const { peak, score } of anomalies) {
    parts.push(
      `<circle cx="${round(x(peak))}" cy="${round(y(score))}" r="4" fill="${ALARM}"><title>${escapeText(`${table.names[peak]}: ${score.toFixed(3)}`)}</title></circle>`,
    );
  }
  // The strongest are named, as far as there is room beside those already named.
  const named: { left: number; right: number; at: number }[] = [
    { left: LEFT, right: LEFT + 120, at: y(threshold) - 2 },
  ];
  for (const { peak, score } of [...anomalies].sort((a, b) => b.score - a.score).slice(0, MOST_NAMES)) {
    const name = table.names[peak]!;
    const width = name.length * CHARACTER;
    const toRight = x(peak) + 8 + width < WIDTH - RIGHT;
    const left = toRight ? x(peak) + 8 : x(peak) - 8 - width;
    const at = Math.max(top + 10, y(score) + 4);
    if (named.some((other) => left < other.right && other.left < left + width && Math.abs(at - other.at) < 14))
      continue;
    named.push({ left, right: left + width, at });
    parts.push(text(x(peak) + (toRight ? 8 : -8), at, name, { fill: ALARM, anchor: toRight ? 'start' : 'end' }));
  }
  const longest = Math.max(...table.names.map((name) => name.length), 1);
  const steps = Math.max(
    1,
    Math.min(6, count - 1, Math.floor((WIDTH - LEFT - RIGHT) / (longest * CHARACTER + 30)) - 1),
  );
  for (let k = 0; k <= steps; k++) {
    const t = Math.round(((count - 1) * k) / steps);
    const anchor = k === 0 ? 'start' : k === steps ? 'end' : 'middle';
    parts.push(line(x(t), bottom, x(t), bottom + 5, MUTED));
    parts.push(text(x(t), bottom + 20, table.names[t]!, { fill: MUTED, anchor }));
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
  // A rim of the background keeps text readable where it crosses a line.
  return `<text x="${round(x)}" y="${round(y)}" fill="${fill}" stroke="#ffffff" stroke-width="3" paint-order="stroke"${more}>${escapeText(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Round numbers around an interval: three to six, in steps of 1, 2 or 5 times a power of ten. */
function ticksOf(low: number, high: number): number[] {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.floor(low / step);
  const count = Math.ceil(high / step) - first;
  const ticks = Array.from({ length: Math.min(count, 8) + 1 }, (_, k) => Number(((first + k) * step).toPrecision(12)));
  // Values too large or too close for round steps keep their own ends.
  const sound = ticks.every((tick, k) => k === 0 || tick > ticks[k - 1]!) && ticks[0]! <= low && ticks.at(-1)! >= high;
  return sound ? ticks : [low, high];
}

function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e7 || (size > 0 && size < 1e-3)) return value.toExponential(1);
  return Number(value.toPrecision(6)).toLocaleString('en', { maximumFractionDigits: 6 });
}

/** File and column names are the user's and must stay text in the picture. */
function escapeText(content: string): string {
  return content.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
