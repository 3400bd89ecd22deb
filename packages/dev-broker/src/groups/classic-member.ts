import type { JoinGroupRequest, JoinGroupResponse } from '../protocol/messages/join-group.ts';
import type { SyncGroupResponse } from '../protocol/messages/sync-group.ts';
import type { StoredClassicMember, StoredProtocol } from './stored.ts';

export interface Protocol {
  readonly name: string;
  readonly metadata: Buffer;
}

/** What a JoinGroup says of its sender. */
export type ClassicSubscription = Pick<
  JoinGroupRequest,
  'groupInstanceId' | 'protocolType' | 'sessionTimeoutMs' | 'rebalanceTimeoutMs'
> & { protocols: readonly Protocol[] };

export const storedProtocols = (protocols: readonly Protocol[]): StoredProtocol[] =>
  protocols.map(({ name, metadata }) => ({ name, metadata: metadata.toString('base64') }));

export const restoredProtocols = (protocols: readonly StoredProtocol[]): Protocol[] =>
  protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata, 'base64') }));

/** One member of a classic group. Owned by its group. */
export class ClassicMember {
  readonly id: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly protocolType: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  protocols: Protocol[];
  assignment: Buffer = Buffer.alloc(0);
  /** Answers the JoinGroup that waits for the rebalance. */
  join: ((response: JoinGroupResponse) => void) | undefined;
  /** Answers the SyncGroup that waits for the leader's assignment. */
  sync: ((response: SyncGroupResponse) => void) | undefined;
  sessionTimer: unknown;
  isNew = true;

  constructor(id: string, request: ClassicSubscription, clientId: string, clientHost: string) {
    this.id = id;
    this.instanceId = request.groupInstanceId;
    this.clientId = clientId;
    this.clientHost = clientHost;
    this.protocolType = request.protocolType;
    this.sessionTimeoutMs = request.sessionTimeoutMs;
    this.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    this.protocols = copyProtocols(request.protocols);
  }

  toStored(): StoredClassicMember {
    const { id, instanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs } = this;
    return {
      id,
      instanceId,
      clientId,
      clientHost,
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      protocols: storedProtocols(this.protocols),
      assignment: this.assignment.toString('base64'),
    };
  }

  static fromStored(stored: StoredClassicMember, protocolType: string): ClassicMember {
    const { id, instanceId, sessionTimeoutMs, rebalanceTimeoutMs } = stored;
    const protocols = restoredProtocols(stored.protocols);
    const request = { groupInstanceId: instanceId, protocolType, sessionTimeoutMs, rebalanceTimeoutMs, protocols };
    const member = new ClassicMember(id, request, stored.clientId, stored.clientHost);
    member.assignment = Buffer.from(stored.assignment, 'base64');
    member.isNew = false;
    return member;
  }

  update(request: JoinGroupRequest): void {
    this.sessionTimeoutMs = request.sessionTimeoutMs;
    this.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    this.protocols = copyProtocols(request.protocols);
  }

  matches(request: JoinGroupRequest): boolean {
    return (
      request.protocols.length === this.protocols.length &&
      request.protocols.every(({ name, metadata }, index) => {
        const mine = this.protocols[index]!;
        return mine.name === name && mine.metadata.equals(metadata);
      })
    );
  }

  metadataOf(protocol: string | null): Buffer {
    return this.protocols.find(({ name }) => name === protocol)?.metadata ?? Buffer.alloc(0);
  }
}

/** Copies, since the request's bytes are views of a received frame that should not live as long as a member. */
export function copyProtocols(protocols: readonly Protocol[]): Protocol[] {
  return protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) }));
}
