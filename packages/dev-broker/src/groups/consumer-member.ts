import type { Partitions } from './assignors.ts';
import type { Protocol } from './classic-member.ts';

/** One member of a KIP-848 group. Owned by its group. */
export class ConsumerMember {
  readonly id: string;
  readonly instanceId: string | null;
  clientId = '';
  clientHost = '';
  rackId: string | null = null;
  epoch = 0;
  previousEpoch = -1;
  rebalanceTimeoutMs = 300_000;
  topicNames: string[] = [];
  topicPattern = '';
  serverAssignor: string | null = null;
  /** What it may read now. */
  assigned: Partitions = new Map();
  /** What it was told to give up and has not yet. */
  revoking: Partitions = new Map();
  /** Epochs under which it got its partitions, by `topic id/index`; the present one where nothing else is said. */
  readonly assignedSince = new Map<string, number>();
  /** Everything that was meant for it is with it. */
  isStable = false;
  /** Set while it speaks the classic protocol, with what it said there. */
  classic: { sessionTimeoutMs: number; protocols: Protocol[] } | undefined;
  sessionTimer: unknown;
  /** Runs until the member must have taken its next step of a rebalance. */
  rebalanceTimer: unknown;

  constructor(id: string, instanceId: string | null) {
    this.id = id;
    this.instanceId = instanceId;
  }
}
