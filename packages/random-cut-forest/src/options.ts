import { RandomCutForestError } from './errors.ts';

/** Options of a {@link RandomCutForest}; names and defaults are those of the field's reference implementation. */
export interface RandomCutForestOptions {
  /** Numbers in a point of the forest: numbers in a record × `shingleSize`. 1 to 10,000. */
  dimensions: number;
  /** Records joined to a point, oldest first. Must divide `dimensions`. Default 1. */
  shingleSize?: number;
  /**
   * `true`: the caller passes records of `dimensions / shingleSize` numbers and the forest keeps the shingle.
   * `false`: the caller passes whole points, as `shingleSize` then only says. Default `false`, as in the reference.
   */
  internalShingling?: boolean;
  /** More trees lower the noise of the scores and cost time in proportion. 1 to 1,000. Default 50. */
  numberOfTrees?: number;
  /** Points that each tree keeps, `N`. Scores range up to `log2(N + 1)`. 1 to 65,536. Default 256. */
  sampleSize?: number;
  /** Rate at which the past is forgotten: a memory of about `1 / timeDecay` records; 0 never forgets. Default `1 / (10 N)`. */
  timeDecay?: number;
  /** Scores are 0 until this many records have been learnt. Default `max(1, floor(N / 4))`. */
  outputAfter?: number;
  /** Share of a sample that is filled with the first records as they come. 0 to 1. Default 1. */
  initialAcceptFraction?: number;
  /** 32-bit seed of every draw. The same seed and the same records give the same scores. Default: random. */
  randomSeed?: number;
  /** What computes: `auto` takes WebAssembly where it has SIMD. Both give the same bits. Default `auto`. */
  engine?: 'auto' | 'wasm' | 'plain';
}

/** The same with every default filled in and checked. */
export interface CompiledOptions {
  readonly dimensions: number;
  readonly shingleSize: number;
  readonly internalShingling: boolean;
  readonly numberOfTrees: number;
  readonly sampleSize: number;
  readonly timeDecay: number;
  readonly outputAfter: number;
  readonly initialAcceptFraction: number;
  readonly randomSeed: number;
}

/** @throws RandomCutForestError `INVALID_OPTION` naming the option and its legal range. */
export function compileOptions(options: RandomCutForestOptions): CompiledOptions {
  const shingleSize = integer('shingleSize', options.shingleSize ?? 1, 1, 10_000);
  const dimensions = integer('dimensions', options.dimensions, 1, 10_000);
  if (dimensions % shingleSize !== 0) {
    throw invalid('dimensions', dimensions, `a multiple of shingleSize (${shingleSize})`);
  }
  const sampleSize = integer('sampleSize', options.sampleSize ?? 256, 1, 65_536);
  const numberOfTrees = integer('numberOfTrees', options.numberOfTrees ?? 50, 1, 1_000);
  return {
    dimensions,
    shingleSize,
    internalShingling: options.internalShingling ?? false,
    numberOfTrees,
    sampleSize,
    timeDecay: number('timeDecay', options.timeDecay ?? 1 / (10 * sampleSize), 0, 1),
    outputAfter: integer(
      'outputAfter',
      options.outputAfter ?? Math.max(1, sampleSize >> 2),
      1,
      Number.MAX_SAFE_INTEGER,
    ),
    initialAcceptFraction: number('initialAcceptFraction', options.initialAcceptFraction ?? 1, 0, 1),
    randomSeed: integer('randomSeed', options.randomSeed ?? Math.floor(Math.random() * 2 ** 32), 0, 2 ** 32 - 1),
  };
}

function integer(name: string, value: number, low: number, high: number): number {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw invalid(name, value, `a whole number from ${low} to ${high}`);
  }
  return value;
}

function number(name: string, value: number, low: number, high: number): number {
  if (!(value >= low && value <= high)) throw invalid(name, value, `a number from ${low} to ${high}`);
  return value;
}

function invalid(name: string, value: unknown, wanted: string): RandomCutForestError {
  return new RandomCutForestError('INVALID_OPTION', `${name} is ${String(value)}; it must be ${wanted}`);
}
