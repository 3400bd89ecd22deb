/** A figure of the reference implementation: mean over seeds 1 to 5, and deviation where it was given. */
export type Figure = readonly [mean: number, deviation?: number];

export interface ReferenceFigures {
  readonly rocAuc?: Figure;
  readonly prAuc?: Figure;
  /** At thresholds 1.5, 2, 2.5 and 3; for grades at "above 0". Windows hit, or rows found in request logs. */
  readonly found: readonly number[];
  /** A thousand rows, at the same: runs outside windows, or rows in request logs. */
  readonly falseAlarms: readonly number[];
}

// Measured on the AWS reference implementation (Java, 4.3.0): the 24 series of the folders realAWSCloudwatch and
// realKnownCause of the Numenta Anomaly Benchmark, and three request logs with incidents put in. Raw values, defaults.
export const REFERENCE: Readonly<Record<string, ReferenceFigures>> = {
  'stream-s1-t50': {
    rocAuc: [0.612, 0.004],
    prAuc: [0.237, 0.003],
    found: [44, 42, 39.2, 35.8],
    falseAlarms: [14.2, 4.7, 2.3, 1.3],
  },
  'stream-s1-t100-l1e-5': {
    rocAuc: [0.613, 0.001],
    prAuc: [0.256, 0.002],
    found: [43.4, 41, 40, 37.2],
    falseAlarms: [17.2, 5.3, 2.8, 1.5],
  },
  'stream-s4-t50': {
    rocAuc: [0.626, 0.002],
    prAuc: [0.264, 0.001],
    found: [42, 41.2, 34.8, 21.8],
    falseAlarms: [5.2, 1.7, 0.7, 0.4],
  },
  'stream-s8-t50': {
    rocAuc: [0.634, 0.002],
    prAuc: [0.29, 0.002],
    found: [42, 35, 22, 15],
    falseAlarms: [2.8, 0.8, 0.4, 0.1],
  },
  'stream-s8-t100': {
    rocAuc: [0.635, 0.001],
    prAuc: [0.291, 0],
    found: [42, 35.2, 22.2, 15],
    falseAlarms: [2.5, 0.8, 0.4, 0.1],
  },
  'stream-s24-t50': {
    rocAuc: [0.662, 0.002],
    prAuc: [0.342, 0.002],
    found: [34.4, 23.4, 13.8, 10.4],
    falseAlarms: [1.7, 0.1, 0, 0],
  },
  'thresholded-s8-t50': { found: [36.8], falseAlarms: [1.2] },
  'log-raw-s1-t100': {
    rocAuc: [0.995, 0],
    prAuc: [0.812, 0.006],
    found: [52, 43, 40, 33.2],
    falseAlarms: [2.7, 2.6, 2.6, 2.6],
  },
  'log-z-s1-t100': {
    rocAuc: [0.985, 0],
    prAuc: [0.685, 0.007],
    found: [43.2, 34, 10.6, 0.2],
    falseAlarms: [2.6, 2.6, 2.6, 1.3],
  },
  'log-z-s4-t100': {
    rocAuc: [0.901, 0.004],
    prAuc: [0.21, 0.015],
    found: [5.2, 0, 0, 0],
    falseAlarms: [11.9, 0, 0, 0],
  },
};

/** The same on the taxi series alone. */
export const TAXI_REFERENCE: Readonly<Record<string, ReferenceFigures>> = {
  'stream-s1-t50': { rocAuc: [0.556], prAuc: [0.145], found: [4, 3, 2.6, 1], falseAlarms: [] },
  'stream-s8-t50': { rocAuc: [0.538], prAuc: [0.157], found: [3, 1.6, 0.6, 0], falseAlarms: [] },
  'stream-s24-t50': { rocAuc: [0.578], prAuc: [0.276], found: [2.2, 0.2, 0, 0], falseAlarms: [] },
  'stream-s48-t100-n1024': { rocAuc: [0.719], prAuc: [0.403], found: [2, 0, 0, 0], falseAlarms: [] },
  'batch-s1-t100': { rocAuc: [0.564], prAuc: [0.157], found: [4, 3, 2, 1], falseAlarms: [] },
  'batch-s48-t100-n512': { rocAuc: [0.719], prAuc: [0.402], found: [1, 0, 0, 0], falseAlarms: [] },
};
