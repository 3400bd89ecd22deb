export type { Authorize, Operation, Resource } from './authorize.ts';
export { type Broker, createInProcessBroker, type InProcessBroker, startBroker } from './broker.ts';
export type { Clock } from './clock.ts';
export type { GroupState, PartitionState } from './control.ts';
export type { Fault } from './faults/faults.ts';
export type { FaultAction, FaultKind, FaultMatch, FaultPlan, FaultRule } from './faults/rule.ts';
export {
  type BrokerConfigName,
  type BrokerOptions,
  brokerConfigs,
  type TlsOptions,
  type TopicOptions,
} from './options.ts';
export { ErrorCode, type ErrorName, RequestError } from './protocol/errors.ts';
export type { SaslMechanism, SaslOptions } from './security/authentication.ts';
export type { CheckToken, TokenOwner } from './security/oauth-bearer.ts';
export { DataDirectoryInUseError } from './storage/storage.ts';
export type { RequestMessage } from './telemetry.ts';
