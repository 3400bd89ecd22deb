import type { Slowness } from '../faults/slowness.ts';
import { PartitionLog } from '../log/partition-log.ts';
import { type CompiledTopicConfig, compileTopicConfig } from './topic-configs.ts';

/** One partition: its log, and who leads it. Leadership is changed by the cluster alone. */
export class Partition {
  readonly topic: Topic;
  readonly index: number;
  readonly log = new PartitionLog();
  /** Node ids, the preferred leader first. */
  replicas: number[];
  /** Node id; -1 while there is no leader. */
  leader: number;
  leaderEpoch = 0;
  /** While a test holds it up: fetches see nothing new, produce requests wait for this. */
  pause: Promise<void> | undefined;
  /** While a test makes it slow. */
  slowness: Slowness | undefined;
  /** Offset up to which compaction has cleaned. */
  cleanedOffset = 0;

  constructor(topic: Topic, index: number, replicas: number[]) {
    this.topic = topic;
    this.index = index;
    this.replicas = replicas;
    this.leader = replicas[0]!;
  }

  /** The end of what can be read, by all or in transactions that are over. */
  readableEnd(isCommitted: boolean): number {
    const end = isCommitted ? this.log.lastStableOffset : this.log.endOffset;
    return this.slowness ? Math.min(end, this.slowness.visibleEnd) : end;
  }
}

/** A topic with its configs. Owned by the cluster. */
export class Topic {
  readonly name: string;
  /** 22 characters of URL-safe base64; a topic made anew has a new one. */
  readonly id: string;
  readonly partitions: Partition[] = [];
  /** As set; what is not in here has its default. */
  readonly configs: Map<string, string>;
  config: CompiledTopicConfig;

  constructor(name: string, id: string, configs: ReadonlyMap<string, string>) {
    this.name = name;
    this.id = id;
    this.configs = new Map(configs);
    this.config = compileTopicConfig(this.configs);
  }

  get isInternal(): boolean {
    return this.name === '__consumer_offsets' || this.name === '__transaction_state';
  }

  setConfig(name: string, value: string | undefined): void {
    if (value === undefined) this.configs.delete(name);
    else this.configs.set(name, value);
    this.config = compileTopicConfig(this.configs);
  }
}

const MAXIMUM_NAME_LENGTH = 249;

/** Why a name is no legal topic name, or undefined. */
export function topicNameProblem(name: string): string | undefined {
  if (name === '') return 'Topic name is invalid: the empty string is not allowed';
  if (name === '.' || name === '..') return "Topic name is invalid: '.' or '..' is not allowed";
  if (name.length > MAXIMUM_NAME_LENGTH) {
    return `Topic name is invalid: the length of '${name}' is longer than the max allowed length ${MAXIMUM_NAME_LENGTH}`;
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return `Topic name is invalid: '${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`;
  }
  return undefined;
}
