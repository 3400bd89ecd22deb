export type { Attribution } from './attribution.ts';
export { RandomCutForestError, type RandomCutForestErrorCode } from './errors.ts';
export { type Point, RandomCutForest } from './forest.ts';
export type { CompiledOptions, RandomCutForestOptions } from './options.ts';
