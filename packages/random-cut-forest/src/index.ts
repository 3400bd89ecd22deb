export type { Attribution } from './attribution.ts';
export { RandomCutForestError, type RandomCutForestErrorCode } from './errors.ts';
export { type Point, RandomCutForest } from './forest.ts';
export type { Neighbor } from './imputation.ts';
export type { CompiledOptions, RandomCutForestOptions } from './options.ts';
export type { Correction } from './predictor-corrector.ts';
export {
  ThresholdedForest,
  type ThresholdedForestOptions,
  type ThresholdedResult,
} from './thresholded-forest.ts';
export type { TransformMethod } from './transform.ts';
