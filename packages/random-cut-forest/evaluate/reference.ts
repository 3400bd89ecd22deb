/** A figure of the reference implementation: mean over seeds, and deviation from seed to seed where it is known. */
export type Figure = readonly [mean: number, deviation?: number];

export interface ReferenceFigures {
  readonly rocAuc?: Figure;
  readonly prAuc?: Figure;
  /** At thresholds 1.5, 2, 2.5 and 3; for grades at "above 0". Windows hit, or rows found in request logs. */
  readonly found: readonly Figure[];
  /** A thousand rows, at the same: runs outside windows, or rows in request logs. */
  readonly falseAlarms: readonly Figure[];
}

// Measured on the AWS reference implementation (Java, 4.3.0): the 24 series of the folders realAWSCloudwatch and
// realKnownCause of the Numenta Anomaly Benchmark, and three request logs with incidents put in. Raw values, defaults.
// Those with a deviation for each count: seeds 1 to 10 (stream-s1-t50: 1 to 5, log-z-s4-t100: 1 to 20).
export const REFERENCE: Readonly<Record<string, ReferenceFigures>> = {
  'stream-s1-t50': {
    rocAuc: [0.612, 0.004],
    prAuc: [0.237, 0.003],
    found: [
      [44, 0],
      [42, 0],
      [39.2, 0.45],
      [35.8, 0.45],
    ],
    falseAlarms: [
      [14.23, 0.3],
      [4.74, 0.16],
      [2.33, 0.06],
      [1.34, 0.06],
    ],
  },
  'stream-s1-t100-l1e-5': {
    rocAuc: [0.613, 0.001],
    prAuc: [0.256, 0.002],
    found: [[43.4], [41], [40], [37.2]],
    falseAlarms: [[17.2], [5.3], [2.8], [1.5]],
  },
  'stream-s4-t50': {
    rocAuc: [0.626, 0.002],
    prAuc: [0.264, 0.001],
    found: [[42], [41.2], [34.8], [21.8]],
    falseAlarms: [[5.2], [1.7], [0.7], [0.4]],
  },
  'stream-s8-t50': {
    rocAuc: [0.634, 0.002],
    prAuc: [0.29, 0.002],
    found: [
      [42, 0],
      [35.2, 0.79],
      [22, 0.67],
      [15, 0],
    ],
    falseAlarms: [
      [2.79, 0.12],
      [0.85, 0.03],
      [0.43, 0.04],
      [0.09, 0.02],
    ],
  },
  'stream-s8-t100': {
    rocAuc: [0.635, 0.001],
    prAuc: [0.291, 0],
    found: [[42], [35.2], [22.2], [15]],
    falseAlarms: [[2.5], [0.8], [0.4], [0.1]],
  },
  'stream-s24-t50': {
    rocAuc: [0.662, 0.002],
    prAuc: [0.341, 0.002],
    found: [
      [34.8, 0.63],
      [23.9, 1.37],
      [13.8, 0.79],
      [10.2, 0.79],
    ],
    falseAlarms: [
      [1.72, 0.13],
      [0.15, 0.03],
      [0.04, 0.01],
      [0.01, 0.003],
    ],
  },
  'thresholded-s8-t50': { found: [[36.9, 0.74]], falseAlarms: [[1.19, 0.07]] },
  'log-raw-s1-t100': {
    rocAuc: [0.995, 0.001],
    prAuc: [0.81, 0.006],
    found: [
      [52.3, 0.82],
      [43.2, 0.42],
      [40, 0],
      [33, 1.05],
    ],
    falseAlarms: [
      [2.76, 0.21],
      [2.63, 0],
      [2.63, 0],
      [2.63, 0],
    ],
  },
  'log-z-s1-t100': {
    rocAuc: [0.985, 0.0004],
    prAuc: [0.687, 0.005],
    found: [
      [42.3, 1.7],
      [33.2, 1.62],
      [10.9, 1.6],
      [0.9, 0.74],
    ],
    falseAlarms: [
      [2.63, 0],
      [2.63, 0],
      [2.5, 0.21],
      [1.31, 0],
    ],
  },
  'log-z-s4-t100': {
    rocAuc: [0.902, 0.004],
    prAuc: [0.22, 0.021],
    found: [[5.25, 1.41], [0.05, 0.22], [0], [0]],
    falseAlarms: [[11.08, 1.22], [0.04, 0.14], [0], [0]],
  },
};

/** The same on the taxi series alone. */
export const TAXI_REFERENCE: Readonly<Record<string, ReferenceFigures>> = {
  'stream-s1-t50': { rocAuc: [0.556], prAuc: [0.145], found: [[4], [3], [2.6], [1]], falseAlarms: [] },
  'stream-s8-t50': { rocAuc: [0.538], prAuc: [0.157], found: [[3], [1.6], [0.6], [0]], falseAlarms: [] },
  'stream-s24-t50': { rocAuc: [0.578], prAuc: [0.276], found: [[2.2], [0.2], [0], [0]], falseAlarms: [] },
  'stream-s48-t100-n1024': { rocAuc: [0.719], prAuc: [0.403], found: [[2], [0], [0], [0]], falseAlarms: [] },
  'batch-s1-t100': { rocAuc: [0.564], prAuc: [0.157], found: [[4], [3], [2], [1]], falseAlarms: [] },
  'batch-s48-t100-n512': { rocAuc: [0.719], prAuc: [0.402], found: [[1], [0], [0], [0]], falseAlarms: [] },
};
