/** Members of a group as they are kept across a restart, by the kind of group. */
export type StoredMembers = StoredClassicGroup | StoredConsumerGroup | StoredShareGroup;

/** Bytes stand as base64. */
export interface StoredClassicGroup {
  readonly kind: 'classic';
  readonly generation: number;
  readonly protocolType: string;
  readonly protocolName: string | null;
  readonly leaderId: string;
  /** Since when there has been no member, in milliseconds. */
  readonly emptySince: number;
  readonly members: readonly StoredClassicMember[];
}

export interface StoredClassicMember {
  readonly id: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocols: readonly StoredProtocol[];
  readonly assignment: string;
}

export interface StoredProtocol {
  readonly name: string;
  readonly metadata: string;
}

/** Partitions by topic id. */
export type StoredPartitions = readonly { readonly topicId: string; readonly partitions: readonly number[] }[];

export interface StoredConsumerGroup {
  readonly kind: 'consumer';
  readonly epoch: number;
  readonly knownTopics: string;
  readonly members: readonly StoredConsumerMember[];
}

export interface StoredConsumerMember {
  readonly id: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rackId: string | null;
  readonly epoch: number;
  readonly previousEpoch: number;
  readonly rebalanceTimeoutMs: number;
  readonly topicNames: readonly string[];
  readonly topicPattern: string;
  readonly serverAssignor: string | null;
  readonly isStable: boolean;
  readonly assigned: StoredPartitions;
  readonly revoking: StoredPartitions;
  readonly target: StoredPartitions;
  /** Of a member that speaks the classic protocol. */
  readonly classic: { readonly sessionTimeoutMs: number; readonly protocols: readonly StoredProtocol[] } | null;
}

export interface StoredShareGroup {
  readonly kind: 'share';
  readonly epoch: number;
  readonly members: readonly {
    readonly id: string;
    readonly clientId: string;
    readonly clientHost: string;
    readonly rackId: string | null;
    readonly epoch: number;
    readonly topicNames: readonly string[];
    readonly assigned: StoredPartitions;
  }[];
}

/** Offsets of a share partition that share a state: `[first, last, isDone ? 1 : 0, delivery count]`. */
export type StoredShareRange = readonly [first: number, last: number, isDone: 0 | 1, deliveryCount: number];
