export {
  createSageMakerRuntime,
  type RuntimeStatistics,
  type SageMakerRuntime,
  type SageMakerRuntimeOptions,
  type StreamingEndpointOptions,
} from './runtime.ts';
