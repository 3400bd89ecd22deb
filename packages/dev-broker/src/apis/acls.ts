import { ErrorCode } from '../protocol/errors.ts';
import { createAcls } from '../protocol/messages/create-acls.ts';
import { deleteAcls } from '../protocol/messages/delete-acls.ts';
import { describeAcls } from '../protocol/messages/describe-acls.ts';
import type { Registry } from './registry.ts';

const disabled = { errorCode: ErrorCode.SECURITY_DISABLED, errorMessage: 'No Authorizer is configured on the broker' };

/** There is no storage of ACLs: the answers are those of Apache Kafka without an authorizer. */
export function registerAcls(registry: Registry): void {
  registry.on(describeAcls, () => ({ ...disabled, resources: [] }));
  registry.on(createAcls, ({ creations }) => ({ results: creations.map(() => disabled) }));
  registry.on(deleteAcls, ({ filters }) => ({ filterResults: filters.map(() => ({ ...disabled, matchingAcls: [] })) }));
}
