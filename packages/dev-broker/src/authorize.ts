import type { RequestContext } from './apis/registry.ts';

export type Operation =
  | 'READ'
  | 'WRITE'
  | 'CREATE'
  | 'DELETE'
  | 'ALTER'
  | 'DESCRIBE'
  | 'DESCRIBE_CONFIGS'
  | 'ALTER_CONFIGS'
  | 'IDEMPOTENT_WRITE';

/** What is to be operated on, in Kafka's resource types. */
export interface Resource {
  readonly type: 'TOPIC' | 'GROUP' | 'CLUSTER' | 'TRANSACTIONAL_ID';
  readonly name: string;
}

/** Says whether a principal (such as `User:alice`) may do something. */
export type Authorize = (principal: string, operation: Operation, resource: Resource) => boolean;

/** Asks the hook that the broker was given, or allows everything. */
export class Authorizer {
  readonly #authorize: Authorize | undefined;

  constructor(authorize: Authorize | undefined) {
    this.#authorize = authorize;
  }

  allows(context: RequestContext, operation: Operation, type: Resource['type'], name: string): boolean {
    return this.#authorize === undefined || this.#authorize(context.connection.principal, operation, { type, name });
  }
}

/** Bit fields of operations as Metadata, DescribeCluster and DescribeGroups tell them without an authorizer. */
export const authorizedOperations = { topic: 3576, cluster: 8096, group: 3400, unknown: -2147483648 } as const;
