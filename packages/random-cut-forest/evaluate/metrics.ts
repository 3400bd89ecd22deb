/** Area under the ROC curve: the chance that a positive scores above a negative, ties counting half. */
export function rocAuc(scores: Float64Array, labels: Uint8Array): number {
  const order = ascending(scores);
  let positives = 0;
  let rankSum = 0;
  for (let from = 0; from < order.length; ) {
    let to = from;
    let tied = 0;
    while (to < order.length && scores[order[to]!] === scores[order[from]!]) tied += labels[order[to++]!]!;
    // Ranks from + 1 … to share their mean.
    rankSum += tied * ((from + 1 + to) / 2);
    positives += tied;
    from = to;
  }
  const negatives = order.length - positives;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/** Area under the precision-recall curve, as average precision: each step of recall times the precision there. */
export function prAuc(scores: Float64Array, labels: Uint8Array): number {
  const order = ascending(scores);
  let area = 0;
  let seen = 0;
  let found = 0;
  for (let from = order.length - 1; from >= 0; ) {
    let to = from;
    let tied = 0;
    while (to >= 0 && scores[order[to]!] === scores[order[from]!]) tied += labels[order[to--]!]!;
    seen += from - to;
    found += tied;
    area += tied * (found / seen);
    from = to;
  }
  return area / found;
}

function ascending(scores: Float64Array): Uint32Array {
  return Uint32Array.from(scores, (_, k) => k).sort((a, b) => scores[a]! - scores[b]!);
}

/** Which rows of a series lie in which window; -1: in none. Windows hold both their ends. */
export function windowOfRows(
  timestamps: readonly string[],
  windows: readonly (readonly [from: string, to: string])[],
): Int32Array {
  // The same form to the second sorts as text.
  const seconds = (text: string): string => text.slice(0, 19).replace('T', ' ');
  return Int32Array.from(timestamps, (timestamp) => {
    const at = seconds(timestamp);
    return windows.findIndex(([from, to]) => seconds(from) <= at && at <= seconds(to));
  });
}

/** Rows at the start that do not count: 15 %, at most 750, as the Numenta Anomaly Benchmark has it. */
export function probation(rows: number): number {
  return Math.min(Math.floor(0.15 * rows), 750);
}

export interface Alarms {
  /** Windows with at least one flagged row. */
  windowsHit: number;
  /** Runs of flagged rows outside windows. */
  falseAlarms: number;
  /** Flagged rows outside windows. */
  falseRows: number;
}

/** Counts what a threshold finds in a series, from row `from` on. */
export function countAlarms(scores: Float64Array, windowOf: Int32Array, from: number, threshold: number): Alarms {
  const hit = new Set<number>();
  let falseAlarms = 0;
  let falseRows = 0;
  let alarmed = false;
  for (let row = from; row < scores.length; row++) {
    const flagged = scores[row]! >= threshold;
    const window = windowOf[row]!;
    if (flagged && window >= 0) hit.add(window);
    const wrong = flagged && window < 0;
    if (wrong) falseRows++;
    if (wrong && !alarmed) falseAlarms++;
    alarmed = wrong;
  }
  return { windowsHit: hit.size, falseAlarms, falseRows };
}

/** Mean and (sample) standard deviation. */
export function spreadOf(values: readonly number[]): { mean: number; deviation: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0 };
}
