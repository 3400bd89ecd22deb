export { createResultDelivery } from './delivery.ts';
export {
  type AsynchronousInvocations,
  asynchronousEventChannel,
  createAsynchronousInvocations,
  newRequestId,
} from './invocations.ts';
export type { EventDelays, EventRules } from './rules.ts';
