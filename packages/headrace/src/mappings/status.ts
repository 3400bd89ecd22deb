/** The words of Lambda's `StateTransitionReason` and `LastProcessingResult` (spec ESM 3.1, 3.2). */
import type { ErrorCode, HeadraceError } from '../errors.ts';

export const NO_RECORDS_PROCESSED = 'No records processed';
export const OK = 'OK';
export const FUNCTION_CALL_FAILED = 'PROBLEM: Function call failed';
export const DESTINATION_UNREACHABLE =
  'PROBLEM: Connection error. Your event source VPC must be able to connect to OnFailure Destination.';
export const USER_INITIATED = 'USER_INITIATED';
export const AUTHENTICATION_ERROR = 'EVENT_SOURCE_AUTHN_ERROR';
export const CONFIGURATION_ERROR = 'ESM_CONFIG_NOT_VALID';

const CONNECTION_ERROR =
  'PROBLEM: Connection error. Please check your event source connection configuration. If your event source lives in a VPC, try setting up a new Lambda function or EC2 instance with the same VPC, Subnet, and Security Group settings. Connect the new device to the Kafka cluster and consume messages to ensure that the issue is not related to VPC or Endpoint configuration.';

/** What the API says after trouble with the event source; how to cure it is in the warnings of the snapshot. */
export function sourceProblem(error: HeadraceError): { readonly result: string; readonly reason: string | undefined } {
  const known = tlsProblems[error.details['tlsFault'] as keyof typeof tlsProblems] ?? problems[error.code];
  return known ?? { result: CONNECTION_ERROR, reason: undefined };
}

/** Whether a result tells of the event source: such a one is over when the source answers. */
export function isSourceProblem(result: string): boolean {
  const known = [...Object.values(tlsProblems), ...Object.values(problems)];
  return result === CONNECTION_ERROR || known.some((problem) => problem.result === result);
}

const UNUSABLE_CERTIFICATE = 'PROBLEM: Provided certificate or private key is invalid';

/** By `details.tlsFault` of KAFKA_TLS: whose certificate is at fault; absent, the server's. */
const tlsProblems: Readonly<Record<string, { readonly result: string; readonly reason: string | undefined }>> = {
  'client refused': { result: 'PROBLEM: Server failed to authenticate Lambda', reason: AUTHENTICATION_ERROR },
  'client unusable': { result: UNUSABLE_CERTIFICATE, reason: CONFIGURATION_ERROR },
};

const problems: Partial<Record<ErrorCode, { readonly result: string; readonly reason: string | undefined }>> = {
  KAFKA_AUTHENTICATION: { result: 'PROBLEM: SASL authentication failed.', reason: AUTHENTICATION_ERROR },
  KAFKA_AUTHORIZATION: { result: 'PROBLEM: Cluster failed to authorize Lambda.', reason: 'EVENT_SOURCE_AUTHZ_ERROR' },
  KAFKA_TLS: { result: 'PROBLEM: Lambda failed to authenticate server', reason: AUTHENTICATION_ERROR },
  SECRET_UNAVAILABLE: {
    result: UNUSABLE_CERTIFICATE,
    reason: CONFIGURATION_ERROR,
  },
  CONFIGURATION: { result: CONNECTION_ERROR, reason: CONFIGURATION_ERROR },
};
