import type { JoinGroupRequest, JoinGroupResponse } from '../protocol/messages/join-group.ts';
import type { SyncGroupResponse } from '../protocol/messages/sync-group.ts';

export interface Protocol {
  readonly name: string;
  readonly metadata: Buffer;
}

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

  constructor(id: string, request: JoinGroupRequest, clientId: string, clientHost: string) {
    this.id = id;
    this.instanceId = request.groupInstanceId;
    this.clientId = clientId;
    this.clientHost = clientHost;
    this.protocolType = request.protocolType;
    this.sessionTimeoutMs = request.sessionTimeoutMs;
    this.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    this.protocols = copyProtocols(request);
  }

  update(request: JoinGroupRequest): void {
    this.sessionTimeoutMs = request.sessionTimeoutMs;
    this.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    this.protocols = copyProtocols(request);
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
function copyProtocols(request: JoinGroupRequest): Protocol[] {
  return request.protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) }));
}
