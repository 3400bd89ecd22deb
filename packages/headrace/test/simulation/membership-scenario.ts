/** What a run of the membership's simulation is about: everything is drawn from the seed before it begins. */
import type { SeededRandom } from '@headrace/testing';
import type { NetworkFaults } from './simulated-network.ts';

export const SESSION_TIMEOUT = 12_000;
export const REBALANCE_TIMEOUT = 20_000;

export interface MembershipScenario {
  readonly protocol: 'classic' | 'consumer';
  readonly partitions: number;
  readonly processes: number;
  /** Nothing goes wrong but that processes come, go and die: then nobody who lives may ever lose a partition. */
  readonly isCalm: boolean;
  /** Nothing is committed before peace: a coordinator takes commits for signs of life. */
  readonly isIdle: boolean;
  readonly faultMilliseconds: number;
  readonly network: NetworkFaults;
  /** Chance that a process has a name that it has again after a restart. */
  readonly named: number;
  /** Chance that giving partitions up takes long, and how long at most. */
  readonly slowHook: number;
  readonly longestHook: number;
  readonly joins: number;
  readonly leaves: number;
  readonly kills: number;
  readonly pauses: number;
  readonly moves: number;
  readonly cuts: number;
  /** Times that a process reaches nobody for a while. */
  readonly isolations: number;
  /** Times that partitions are added to the topic. */
  readonly growths: number;
}

export function drawMembershipScenario(random: SeededRandom): MembershipScenario {
  const isCalm = random.chance(0.35);
  const some = (most: number): number => (isCalm ? 0 : random.integer(0, most));
  const maybe = (most: number): number => (isCalm || random.chance(0.4) ? 0 : random.next() * most);
  return {
    protocol: random.pick(['classic', 'consumer'] as const),
    partitions: random.integer(1, 6),
    processes: random.integer(1, 4),
    isCalm,
    isIdle: random.chance(0.3),
    faultMilliseconds: random.integer(30_000, 120_000),
    network: {
      delay: random.pick([0, 10, 150]),
      cutBefore: maybe(0.06),
      cutAfter: maybe(0.1),
      silence: maybe(0.01),
      refuse: maybe(0.3),
    },
    named: random.pick([0, 0.5, 1]),
    slowHook: random.pick([0, 0.3, 0.7]),
    // Half of those that are longest outlive the 80 % of the rebalance timeout that they are waited for.
    longestHook: random.pick([3_000, 0.75 * REBALANCE_TIMEOUT, 1.6 * REBALANCE_TIMEOUT]),
    joins: random.integer(0, 3),
    leaves: random.integer(0, 2),
    kills: random.integer(0, 2),
    pauses: some(3),
    moves: some(3),
    cuts: some(4),
    isolations: some(2),
    growths: random.chance(0.2) ? 1 : 0,
  };
}
