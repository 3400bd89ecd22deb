import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { Partition, Topic } from '../cluster/topic.ts';
import type { ConsumerGroup } from '../groups/consumer-group.ts';
import type { GroupCoordinator } from '../groups/coordinator.ts';
import type { CommittedOffset } from '../groups/offsets.ts';
import { ShareGroup } from '../groups/share-group.ts';
import type { StoredMembers, StoredShareRange } from '../groups/stored.ts';
import type { Authentication } from '../security/authentication.ts';
import type { ScramCredential, ScramMechanism } from '../security/scram.ts';
import type { Decision, Transaction, TransactionCoordinator } from '../transactions/coordinator.ts';
import type { ProducerIds } from '../transactions/producer-ids.ts';
import { Journal, syncFolder } from './journal.ts';
import { lock, unlock } from './lock.ts';
import { LogFiles } from './log-files.ts';
import { StoredShare } from './stored-share.ts';

export { DataDirectoryInUseError } from './lock.ts';

/** What the journal holds; `type` says which. */
type Event =
  | { type: 'format'; version: 1 }
  | { type: 'topic'; name: string; id: string; configs: [string, string][]; partitions: PartitionEvent[] }
  | { type: 'topic-deleted'; id: string }
  | { type: 'start'; id: string; partition: number; offset: number }
  | { type: 'generation'; id: string; partition: number; generation: number }
  | { type: 'offset'; group: string; topic: string; partition: number; position: CommittedOffset | null }
  | { type: 'pending'; group: string; producerId: number; topic: string; partition: number; position: CommittedOffset }
  | { type: 'pending-ended'; group: string; producerId: number; isCommit: boolean }
  | { type: 'group-deleted'; group: string }
  | { type: 'group-config'; group: string; values: [string, string][] }
  | { type: 'members'; group: string; members: StoredMembers }
  | {
      type: 'share';
      group: string;
      id: string;
      partition: number;
      offset: number;
      records: readonly StoredShareRange[];
    }
  | { type: 'share-forgotten'; group: string; id: string; partition: number }
  | { type: 'scram'; mechanism: ScramMechanism; user: string; credential: StoredCredential | null }
  | { type: 'producer-id'; next: number }
  | ({ type: 'transaction' } & StoredTransaction);

/** Bytes stand as base64. */
interface StoredCredential {
  salt: string;
  iterations: number;
  storedKey: string;
  serverKey: string;
}

interface PartitionEvent {
  replicas: number[];
  leader: number;
  epoch: number;
}

interface StoredTransaction {
  id: string;
  producerId: number;
  epoch: number;
  timeoutMs: number;
  state: Transaction['state'];
  partitions: [string, number][];
  groups: string[];
  startedAt: number;
  updatedAt: number;
  /** Set while markers are being written. */
  decision: Decision | null;
}

export interface StorageServices {
  clock: Clock;
  cluster: Cluster;
  groups: GroupCoordinator;
  transactions: TransactionCoordinator;
  producerIds: ProducerIds;
  groupConfigs: Map<string, Map<string, string>>;
  authentication: Authentication;
  shareGroupOf(groupId: string): ShareGroup;
  consumerGroupOf(groupId: string): ConsumerGroup;
  /** Told of what could not be written where nobody waits for an answer. */
  onError(error: unknown): void;
}

/**
 * Keeps a broker's state in a folder: `journal` for everything but records, `logs/` for those. Everything is written
 * before it is acknowledged, so the end of the process at any moment loses nothing; against the end of the machine
 * `flush` waits for the disk as well.
 */
export class Storage {
  readonly #folder: string;
  readonly #isFlushed: boolean;
  readonly #services: StorageServices;
  readonly #files = new Map<Partition, LogFiles>();
  readonly #journal: Journal<Event>;
  readonly #starts = new Map<string, number>();
  /** Of the log files of partitions that were rewritten. */
  readonly #generations = new Map<string, number>();
  readonly #shares = new Map<string, StoredShare>();
  readonly #members = new Map<string, StoredMembers>();
  readonly #credentials = new Map<string, Extract<Event, { type: 'scram' }>>();
  readonly #decisions = new Map<string, Decision>();

  constructor(folder: string, isFlushed: boolean, services: StorageServices) {
    this.#folder = folder;
    this.#isFlushed = isFlushed;
    this.#services = services;
    if (mkdirSync(join(folder, 'logs'), { recursive: true }) !== undefined && isFlushed) syncFolder(folder);
    lock(folder);
    const topics = new Map<string, Extract<Event, { type: 'topic' }>>();
    const stored: StoredTransaction[] = [];
    const restore = (event: Event): void => {
      if (event.type === 'topic') topics.set(event.id, event);
      else if (event.type === 'topic-deleted') topics.delete(event.id);
      else if (event.type === 'transaction') stored.push(event);
      else this.#restoreOther(event);
    };
    let isRestored = false;
    const snapshot = (): Iterable<Event> => {
      if (!isRestored) {
        // All events are read: logs next, since transactions and the snapshot need them.
        isRestored = true;
        for (const event of topics.values()) this.#restoreTopic(event);
        for (const transaction of stored) this.#restoreTransaction(transaction);
        for (const share of this.#shares.values()) this.#restoreShare(share);
        for (const [group, members] of this.#members) this.#restoreMembers(group, members);
        for (const credential of this.#credentials.values()) this.#restoreCredential(credential);
      }
      return this.#events();
    };
    this.#journal = Journal.open<Event>(join(folder, 'journal'), isFlushed, restore, snapshot);
    this.#connect();
    for (const [id, decision] of this.#decisions) services.transactions.finish(id, decision);
    // A restart is an election: leader epochs rise, as clients of Apache Kafka see it.
    for (const topic of services.cluster.topics.values()) {
      for (const partition of topic.partitions) partition.leaderEpoch++;
      services.cluster.store?.topicChanged(topic);
    }
  }

  #restoreTopic(event: Extract<Event, { type: 'topic' }>): void {
    const { cluster, clock } = this.#services;
    const topic = new Topic(event.name, event.id, new Map(event.configs));
    const known = new Set(cluster.nodes.map(({ id }) => id));
    for (const [index, { replicas, leader, epoch }] of event.partitions.entries()) {
      // The broker may have been started with fewer nodes than before.
      const usable = replicas.filter((id) => known.has(id));
      const partition = new Partition(topic, index, usable.length > 0 ? usable : [cluster.nodes[0]!.id]);
      if (known.has(leader)) partition.leader = leader;
      partition.leaderEpoch = epoch;
      topic.partitions.push(partition);
      const files = this.#open(partition);
      files.restore(partition.log, clock.now());
      const start = this.#starts.get(`${topic.id}/${index}`);
      if (start !== undefined) partition.log.moveStart(start);
      partition.log.store = files;
    }
    cluster.restore(topic);
  }

  #restoreTransaction({ partitions, groups, decision, ...rest }: StoredTransaction): void {
    const { cluster, transactions } = this.#services;
    const found = partitions.map(([topic, index]) => cluster.partition(topic, index)).filter((p) => p !== undefined);
    if (decision) this.#decisions.set(rest.id, decision);
    else this.#decisions.delete(rest.id);
    const before = transactions.transactions.get(rest.id);
    if (before) this.#services.clock.clearTimeout(before.timer);
    transactions.restore({ ...rest, partitions: new Set(found), groups: new Set(groups), timer: undefined });
  }

  #restoreShare({ group, topicId, index, startOffset, records }: StoredShare): void {
    const partition = this.#services.cluster.topicById(topicId)?.partitions[index];
    if (partition) this.#services.shareGroupOf(group).sharePartition(partition, startOffset).restore(records);
  }

  /** Who held which record is not kept: what was open is delivered again, with the count of its last release. */
  #restoreMembers(group: string, members: StoredMembers): void {
    if (members.kind === 'share') this.#services.shareGroupOf(group).restore(members);
    else if (members.kind === 'consumer') this.#services.consumerGroupOf(group).restore(members);
    else this.#services.groups.getOrCreate(group).classic.restore(members);
  }

  #restoreCredential({ mechanism, user, credential }: Extract<Event, { type: 'scram' }>): void {
    const bytes = (text: string): Buffer => Buffer.from(text, 'base64');
    const restored = credential && {
      salt: bytes(credential.salt),
      iterations: credential.iterations,
      storedKey: bytes(credential.storedKey),
      serverKey: bytes(credential.serverKey),
    };
    this.#services.authentication.restore(mechanism, user, restored ?? undefined);
  }

  sharePartitionChanged(
    group: string,
    { topic, index }: Partition,
    offset: number,
    records: readonly StoredShareRange[],
  ): void {
    this.#writeAside({ type: 'share', group, id: topic.id, partition: index, offset, records });
  }

  sharePartitionForgotten(group: string, { topic, index }: Partition): void {
    this.#writeAside({ type: 'share-forgotten', group, id: topic.id, partition: index });
  }

  /** Writes what a timer may have brought about, too: there is nobody whom a failure could be answered to. */
  #writeAside(event: Event): void {
    try {
      this.#journal?.write(event);
    } catch (error) {
      this.#services.onError(error);
    }
  }

  #restoreOther(event: Event): void {
    const { groups, groupConfigs, producerIds } = this.#services;
    switch (event.type) {
      case 'start':
        this.#starts.set(`${event.id}/${event.partition}`, event.offset);
        return;
      case 'generation':
        this.#generations.set(`${event.id}/${event.partition}`, event.generation);
        return;
      case 'offset': {
        const { offsets } = groups.getOrCreate(event.group);
        if (event.position) offsets.set(event.topic, event.partition, event.position);
        else offsets.delete(event.topic, event.partition);
        return;
      }
      case 'pending':
        groups
          .getOrCreate(event.group)
          .offsets.setPending(event.producerId, event.topic, event.partition, event.position);
        return;
      case 'pending-ended':
        groups.getOrCreate(event.group).offsets.endTransaction(event.producerId, event.isCommit);
        return;
      case 'share': {
        const key = `${event.group}\0${event.id}\0${event.partition}`;
        let share = this.#shares.get(key);
        if (!share) this.#shares.set(key, (share = new StoredShare(event.group, event.id, event.partition)));
        share.apply(event.offset, event.records);
        return;
      }
      case 'share-forgotten':
        this.#shares.delete(`${event.group}\0${event.id}\0${event.partition}`);
        return;
      case 'members':
        this.#members.set(event.group, event.members);
        return;
      case 'scram':
        this.#credentials.set(`${event.mechanism}\0${event.user}`, event);
        return;
      case 'group-deleted':
        groups.groups.delete(event.group);
        this.#members.delete(event.group);
        for (const [key, { group }] of this.#shares) if (group === event.group) this.#shares.delete(key);
        return;
      case 'group-config':
        groupConfigs.set(event.group, new Map(event.values));
        return;
      case 'producer-id':
        producerIds.next = event.next;
        return;
      default:
        return;
    }
  }

  /** From here on every change is written. */
  #connect(): void {
    const { cluster, groups, transactions, producerIds } = this.#services;
    const write = (event: Event): void => this.#journal.write(event);
    cluster.store = {
      topicChanged: (topic) => write(topicEvent(topic)),
      topicDeleted: (topic) => {
        write({ type: 'topic-deleted', id: topic.id });
        for (const partition of topic.partitions) {
          this.#files.get(partition)?.delete();
          this.#files.delete(partition);
        }
      },
      // Its topic is written with all partitions at once.
      partitionAdded: (partition) => {
        partition.log.store = this.#open(partition);
      },
    };
    groups.store = {
      offsetCommitted: (group, topic, partition, position) =>
        write({ type: 'offset', group, topic, partition, position: position ?? null }),
      pendingCommitted: (group, producerId, topic, partition, position) =>
        write({ type: 'pending', group, producerId, topic, partition, position }),
      pendingEnded: (group, producerId, isCommit) => write({ type: 'pending-ended', group, producerId, isCommit }),
      groupDeleted: (group) => write({ type: 'group-deleted', group }),
      membersChanged: (group, members) => this.#writeAside({ type: 'members', group, members }),
    };
    this.#services.authentication.onChange = (mechanism, user, credential) =>
      write(this.#credentialChanged(mechanism, user, credential));
    transactions.store = {
      transactionChanged: (transaction, decision) => write(transactionEvent(transaction, decision)),
    };
    producerIds.onChange = (next) => write({ type: 'producer-id', next });
  }

  #credentialChanged(mechanism: ScramMechanism, user: string, credential: ScramCredential | undefined): Event {
    const text = (bytes: Buffer): string => bytes.toString('base64');
    const stored = credential && {
      salt: text(credential.salt),
      iterations: credential.iterations,
      storedKey: text(credential.storedKey),
      serverKey: text(credential.serverKey),
    };
    const event = { type: 'scram', mechanism, user, credential: stored ?? null } as const;
    this.#credentials.set(`${mechanism}\0${user}`, event);
    return event;
  }

  groupConfigChanged(group: string): void {
    const values = [...(this.#services.groupConfigs.get(group) ?? [])];
    this.#journal.write({ type: 'group-config', group, values });
  }

  #open(partition: Partition): LogFiles {
    const { id } = partition.topic;
    const folder = join(this.#folder, 'logs', `${id}-${partition.index}`);
    const key = `${id}/${partition.index}`;
    // While the journal is being read there is nothing to write yet: the snapshot will hold it.
    const files = new LogFiles(folder, this.#isFlushed, this.#generations.get(key) ?? 0, {
      startMoved: (offset) => {
        this.#starts.set(key, offset);
        this.#journal?.write({ type: 'start', id, partition: partition.index, offset });
      },
      rewritten: (generation) => {
        this.#generations.set(key, generation);
        this.#journal?.write({ type: 'generation', id, partition: partition.index, generation });
      },
    });
    this.#files.set(partition, files);
    return files;
  }

  /** Everything that is true now. */
  *#events(): Generator<Event> {
    const { cluster, groups, transactions, groupConfigs, producerIds } = this.#services;
    yield { type: 'format', version: 1 };
    yield { type: 'producer-id', next: producerIds.next };
    for (const topic of cluster.topics.values()) {
      yield topicEvent(topic);
      for (const { index, log } of topic.partitions) {
        if (log.startOffset > 0) yield { type: 'start', id: topic.id, partition: index, offset: log.startOffset };
        const generation = this.#generations.get(`${topic.id}/${index}`);
        if (generation) yield { type: 'generation', id: topic.id, partition: index, generation };
      }
    }
    for (const { id: group, classic, managed } of groups.groups.values()) {
      const members = (managed ?? classic).toStored();
      if (members.kind !== 'classic' || members.generation > 0) yield { type: 'members', group, members };
      if (!(managed instanceof ShareGroup)) continue;
      for (const [{ topic, index }, share] of managed.partitions) {
        const place = { group, id: topic.id, partition: index };
        yield { type: 'share', ...place, offset: share.startOffset, records: share.toStored() };
      }
    }
    yield* this.#credentials.values();
    for (const { id: group, offsets } of groups.groups.values()) {
      for (const [topic, partitions] of offsets.positions) {
        for (const [partition, position] of partitions) yield { type: 'offset', group, topic, partition, position };
      }
      for (const [producerId, positions] of offsets.pending) {
        for (const [topic, partitions] of positions) {
          for (const [partition, position] of partitions) {
            yield { type: 'pending', group, producerId, topic, partition, position };
          }
        }
      }
    }
    for (const [group, values] of groupConfigs) yield { type: 'group-config', group, values: [...values] };
    for (const transaction of transactions.transactions.values()) {
      yield transactionEvent(transaction, this.#decisions.get(transaction.id) ?? null);
    }
  }

  close(): void {
    for (const files of this.#files.values()) files.close();
    this.#journal.close();
    unlock(this.#folder);
  }
}

const topicEvent = ({ name, id, configs, partitions }: Topic): Event => ({
  type: 'topic',
  name,
  id,
  configs: [...configs],
  partitions: partitions.map(({ replicas, leader, leaderEpoch }) => ({ replicas, leader, epoch: leaderEpoch })),
});

function transactionEvent(transaction: Transaction, decision: Decision | null): Event {
  const { timer: _timer, partitions, groups, ...rest } = transaction;
  const names = [...partitions].map(({ topic, index }): [string, number] => [topic.name, index]);
  return { type: 'transaction', ...rest, partitions: names, groups: [...groups], decision };
}
