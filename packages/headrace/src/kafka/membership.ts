import type { HeadraceError } from '../errors.ts';
import type { GroupConsumerOptions, TopicPartition } from './contract.ts';
import type { GroupCoordinator } from './group-coordinator.ts';
import type { GroupIdentity } from './group-requests.ts';

/** Who is a member, as the membership sees it: it owns partitions and gives them up when told. */
export interface MembershipHost {
  /** What is owned now, also what is being given up. */
  owned(): readonly TopicPartition[];
  /** Gives partitions up; resolves when it is done, at the latest within the rebalance timeout. */
  revoke(partitions: readonly TopicPartition[]): Promise<void>;
  /** Begins to own partitions. */
  assign(partitions: readonly TopicPartition[]): void;
  /** Everything is gone already: another member may own it. */
  lose(): void;
  /** Trouble with the group; undefined: it is over. */
  onTrouble(error: HeadraceError | undefined): void;
  /** A rebalance is through. */
  onRebalanced(): void;
}

export interface MembershipOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly instanceId: string | null;
  /** See {@link GroupConsumerOptions.restartIdentity}. */
  readonly restartIdentity: string | null;
  readonly rackId: string | null;
  readonly sessionTimeoutMilliseconds: number;
  readonly rebalanceTimeoutMilliseconds: number;
  /** Keeps this consumer's connections apart from others'. */
  readonly purpose: string;
}

/** Membership in a group by one of Kafka's two protocols. */
export interface Membership {
  /** How commits name this member; undefined while it is none. */
  readonly identity: GroupIdentity | undefined;
  readonly coordinator: GroupCoordinator;
  /** Resolves at the next change of `identity`. */
  changed(): Promise<void>;
  /** Looks at once whether this is still a member: a commit was refused. */
  suspect(): void;
  /** Runs until `stop`; never rejects. */
  run(): Promise<MembershipEnd>;
  /** Leaves the group and ends. Its partitions were given up before. */
  stop(): Promise<void>;
}

/** So many failures in a row that usually pass (a coordinator that loads, a lost connection) are trouble: about 3 s. */
export const PASSING_ATTEMPTS = 5;

/** Why a membership ended. */
export type MembershipEnd = 'stopped' | 'unsupported' | 'fenced';

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

/** Elements of `from` that are not in `without`. */
export function difference(from: readonly TopicPartition[], without: readonly TopicPartition[]): TopicPartition[] {
  const known = new Set(without.map(keyOf));
  return from.filter((place) => !known.has(keyOf(place)));
}

/** A promise that can be waited for again and again: every `notify` wakes those who wait now. */
export class Signal {
  #waiting: (() => void)[] = [];

  wait(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
