import type { CommandOutput, Need } from '@headrace/testing';

/** A broker that the suite runs against. */
export interface Target {
  readonly kind: 'dev-broker' | 'kafka';
  readonly bootstrapServers: string;
  /** Runs one of Apache Kafka's Java tools against it; undefined without Java. */
  readonly javaTool: ((className: string, args: string[]) => Promise<CommandOutput>) | undefined;
  /** A name that no other case uses. */
  name(prefix: string): string;
}

/** One promise that both brokers keep. */
export interface Case {
  readonly name: string;
  readonly needs?: readonly Need[];
  readonly run: (target: Target) => Promise<void>;
}

/** Where the two differ: a row of the table in the README, each with its reason. */
export interface Difference {
  readonly what: string;
  readonly kafka: string;
  readonly devBroker: string;
  readonly reason: string;
}
