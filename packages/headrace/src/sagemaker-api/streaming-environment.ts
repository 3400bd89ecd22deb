import type { EndpointModel } from './endpoints.ts';

/** Environment of a model that learns from what it scores, as CreateModel takes it: text by name. */
const RANGES: Readonly<Record<string, readonly [low: number, high: number]>> = {
  feature_dim: [1, 10_000],
  shingle_size: [1, 1_000],
  num_trees: [1, 1_000],
  num_samples_per_tree: [1, 2_048],
  random_seed: [0, 2 ** 32 - 1],
  deduplication_window: [0, 1_000_000],
  key_column: [0, 9_999],
};

/**
 * The streaming model of a container without model data: `HEADRACE_MODE=streaming` and, all optional, the names above,
 * `time_decay` (0 to 1) and `payload_compat` (lenient or strict). Throws Error naming the variable and its range.
 */
export function streamingModelOf(environment: unknown): {
  model: EndpointModel;
  payloadCompat: 'lenient' | 'strict';
  featureDim: number | undefined;
} {
  const values = (typeof environment === 'object' && environment !== null ? environment : {}) as Record<
    string,
    unknown
  >;
  if (values['HEADRACE_MODE'] !== 'streaming') {
    throw new Error(
      'PrimaryContainer.ModelDataUrl is required for a trained model; ' +
        'for one that learns from what it scores set Environment.HEADRACE_MODE to "streaming"',
    );
  }
  for (const name of Object.keys(values)) {
    if (!(name in RANGES) && !['HEADRACE_MODE', 'time_decay', 'payload_compat'].includes(name)) {
      throw new Error(
        `Environment.${name} is not known; there are ${[...Object.keys(RANGES), 'time_decay', 'payload_compat'].join(', ')}`,
      );
    }
  }
  const read = (name: string): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    const [low, high] = RANGES[name]!;
    const value = Number(text);
    if (!/^\d+$/.test(String(text)) || value < low || value > high) {
      throw new Error(
        `Environment.${name} is ${JSON.stringify(text)}; it must be a whole number from ${low} to ${high}`,
      );
    }
    return value;
  };
  const decay = values['time_decay'];
  if (decay !== undefined && !(Number(decay) >= 0 && Number(decay) <= 1)) {
    throw new Error(`Environment.time_decay is ${JSON.stringify(decay)}; it must be a number from 0 to 1`);
  }
  const compat = values['payload_compat'] ?? 'lenient';
  if (compat !== 'lenient' && compat !== 'strict')
    throw new Error('Environment.payload_compat must be lenient or strict');
  const featureDim = read('feature_dim');
  return {
    model: {
      kind: 'streaming',
      keyColumn: read('key_column'),
      options: {
        featureDim,
        shingleSize: read('shingle_size') ?? 1,
        numTrees: read('num_trees') ?? 50,
        numSamplesPerTree: read('num_samples_per_tree') ?? 256,
        timeDecay: decay === undefined ? undefined : Number(decay),
        randomSeed: read('random_seed'),
        deduplicationWindow: read('deduplication_window') ?? 16_384,
      },
    },
    payloadCompat: compat,
    featureDim,
  };
}
