/**
 * All mappings of an engine: their desired configuration, their state machine (spec ESM 3), and who polls for them.
 * Changes are answered at once with a transitional state and carried out after; a second one meanwhile is refused.
 */
import type { Clock } from '../clock.ts';
import { HeadraceError } from '../errors.ts';
import type { Invoke, Warm } from '../functions/outcome.ts';
import type { KafkaCluster } from '../kafka/contract.ts';
import { mappingAuditChannel } from '../telemetry/channels.ts';
import { ActiveMapping, type ActiveMappingContext } from './active-mapping.ts';
import {
  type BlockingRecord,
  type GroupOffset,
  type MappingDefinition,
  MappingInUse,
  type MappingOperations,
  type MappingSnapshot,
  type MappingState,
  type MappingStore,
  type MappingSupervisor,
  type RecordPlace,
  type StoredMapping,
} from './definition.ts';
import type { Destinations } from './destinations.ts';
import { MemoryBudget } from './memory-budget.ts';
import { type EngineOptions, needsNewConsumer } from './options.ts';
import { PollerCounts } from './poller-counts.ts';
import { blockingRecord, partitionSnapshot } from './snapshot.ts';
import { NO_RECORDS_PROCESSED, USER_INITIATED } from './status.ts';

/** "Enabled" is said when partitions were assigned, when something is wrong, or at the latest after this. */
const ENABLED_AFTER_MILLISECONDS = 30_000;
const DEFAULT_DRAIN_MILLISECONDS = 30_000;
/** Kafka event sources allow functions at most 14 minutes (spec ESM 1). */
const LONGEST_FUNCTION_TIMEOUT_SECONDS = 840;

export interface SupervisorOptions extends EngineOptions {
  readonly store: MappingStore;
  /** Resolves where a mapping's cluster is; called at each start of polling, and again after a failure. */
  readonly clusters: (definition: MappingDefinition) => Promise<KafkaCluster>;
  readonly invoke: Invoke;
  /** See {@link PollerContext.warm}. */
  readonly warm?: Warm | undefined;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly destinations?: Destinations;
  /**
   * What this engine is called again after a restart, and no other engine is: its members then take their places in
   * their groups again at once. Absent: they are strangers, and wait for the session timeout.
   */
  readonly restartIdentity?: string | undefined;
  /** Seconds; undefined where the function is not known. */
  readonly functionTimeout?: (functionArn: string) => number | undefined;
}

/** Written by the supervisor alone. */
interface Entry {
  definition: MappingDefinition;
  state: MappingState;
  reason: string;
  lastProcessingResult: string;
  lastModified: number;
  active: ActiveMapping | undefined;
}

export function createMappingSupervisor(options: SupervisorOptions): MappingSupervisor & MappingOperations {
  return new Supervisor(options);
}

class Supervisor implements MappingSupervisor, MappingOperations {
  readonly #options: SupervisorOptions;
  readonly #context: ActiveMappingContext;
  readonly #entries = new Map<string, Entry>();
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const { clusters, invoke, warm, clock, random, destinations, restartIdentity } = options;
    this.#context = {
      clusters,
      invoke,
      warm,
      clock,
      random,
      destinations,
      restartIdentity,
      engine: options,
      memory: new MemoryBudget(options.memoryLimitBytes ?? 128 * 1024 * 1024),
      commitIntervalMilliseconds: options.commitIntervalMilliseconds ?? 100,
      revokeTimeoutMilliseconds: options.revokeTimeoutMilliseconds ?? 55_000,
      scaleDownAfterMilliseconds: options.scaleDownAfterMilliseconds ?? 15_000,
    };
  }

  start(): void {
    for (const { definition, status } of this.#options.store.all()) {
      const entry: Entry = {
        definition,
        state: status.state,
        reason: status.stateTransitionReason,
        lastProcessingResult: status.lastProcessingResult,
        lastModified: status.lastModified,
        active: undefined,
      };
      this.#entries.set(definition.uuid, entry);
      // A change that was cut off by the end of the process is brought to its end.
      if (entry.state === 'Deleting') this.#remove(entry);
      else if (!definition.enabled) this.#transition(entry, 'Disabled');
      else if (entry.state === 'Enabled') this.#activate(entry);
      else this.#enable(entry);
    }
  }

  create(definition: MappingDefinition): StoredMapping {
    if (this.#entries.has(definition.uuid))
      throw new HeadraceError('CONFIGURATION', `A mapping ${definition.uuid} exists already.`);
    const entry: Entry = {
      definition,
      state: 'Creating',
      reason: USER_INITIATED,
      lastProcessingResult: NO_RECORDS_PROCESSED,
      lastModified: 0,
      active: undefined,
    };
    this.#entries.set(definition.uuid, entry);
    const stored = this.#transition(entry, 'Creating');
    if (definition.enabled) this.#enable(entry);
    else this.#later(() => this.#transition(entry, 'Disabled'));
    return stored;
  }

  update(definition: MappingDefinition): StoredMapping {
    const entry = this.#settledEntry(definition.uuid, 'update');
    const before = entry.definition;
    entry.definition = definition;
    if (!definition.enabled) {
      const stored = this.#transition(entry, before.enabled ? 'Disabling' : 'Updating');
      void this.#disable(entry);
      return stored;
    }
    if (!before.enabled) {
      const stored = this.#transition(entry, 'Enabling');
      this.#enable(entry);
      return stored;
    }
    const stored = this.#transition(entry, 'Updating');
    if (needsNewConsumer(before, definition)) {
      void this.#close(entry, DEFAULT_DRAIN_MILLISECONDS).then(() => {
        if (!this.#stopping) this.#enable(entry);
      });
    } else {
      entry.active?.reconfigure(definition);
      this.#checkTimeout(entry);
      this.#later(() => this.#transition(entry, 'Enabled'));
    }
    return stored;
  }

  delete(uuid: string): StoredMapping {
    const entry = this.#settledEntry(uuid, 'delete');
    const stored = this.#transition(entry, 'Deleting');
    void this.#close(entry, DEFAULT_DRAIN_MILLISECONDS).then(() => this.#later(() => this.#remove(entry)));
    return stored;
  }

  get(uuid: string): StoredMapping | undefined {
    const entry = this.#entries.get(uuid);
    return entry === undefined ? undefined : stored(entry);
  }

  list(): StoredMapping[] {
    return [...this.#entries.values()].map(stored);
  }

  snapshot(uuid: string): MappingSnapshot | undefined {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) return undefined;
    const { definition, active } = entry;
    const poller = active?.poller;
    const now = this.#options.clock.now();
    const counts = poller?.counts ?? new PollerCounts();
    return {
      uuid,
      functionArn: definition.functionArn,
      topics: definition.topics,
      consumerGroupId: definition.consumerGroupId,
      ...stored(entry).status,
      pollers: poller?.pollers ?? 0,
      partitions: poller === undefined ? [] : [...poller.lanes].map((lane) => partitionSnapshot(lane, now)),
      warnings: active?.warnings ?? [],
      counts: { ...counts, rebalances: active?.rebalances ?? 0, pollingErrors: active?.pollingErrors ?? 0 },
    };
  }

  blocked(uuid?: string): readonly (BlockingRecord & { readonly uuid: string })[] {
    const uuids = uuid === undefined ? [...this.#entries.keys()] : [uuid];
    return uuids.flatMap((each) =>
      [...(this.#entries.get(each)?.active?.poller?.lanes ?? [])].flatMap((lane) => {
        const record = blockingRecord(lane);
        return record === undefined ? [] : [{ uuid: each, ...record }];
      }),
    );
  }

  skip(uuid: string, place: RecordPlace, options: { readonly dryRun?: boolean } = {}): BlockingRecord {
    return this.#moveOn(uuid, place, undefined, options.dryRun === true);
  }

  park(uuid: string, place: RecordPlace, topic: string, options: { readonly dryRun?: boolean } = {}): BlockingRecord {
    const { topics } = this.#known(uuid).definition;
    if (!/^[a-zA-Z0-9._-]{1,249}$/.test(topic) || topic === '.' || topic === '..')
      throw new HeadraceError('CONFIGURATION', `"${topic}" is not a topic: 1 to 249 letters, digits, ".", "_", "-"`);
    if (topics.includes(topic))
      throw new HeadraceError('CONFIGURATION', `${topic} is what the mapping reads: the record would come back.`);
    if (this.#options.destinations === undefined)
      throw new HeadraceError('CONFIGURATION', 'This engine has no destinations, so a record cannot be parked.');
    return this.#moveOn(uuid, place, topic, options.dryRun === true);
  }

  #moveOn(uuid: string, place: RecordPlace, topic: string | undefined, dryRun: boolean): BlockingRecord {
    const poller = this.#known(uuid).active?.poller;
    if (poller === undefined) throw new HeadraceError('CONFIGURATION', `Mapping ${uuid} is not polling.`);
    const record = poller.moveOn(place, topic === undefined ? undefined : `kafka://${topic}`, dryRun);
    if (!dryRun)
      mappingAuditChannel.publish({ uuid, action: topic === undefined ? 'skip' : 'park', record, to: topic });
    return record;
  }

  async stop(stop: { readonly drainTimeoutMilliseconds?: number } = {}): ReturnType<MappingSupervisor['stop']> {
    this.#stopping = true;
    const drain = stop.drainTimeoutMilliseconds ?? DEFAULT_DRAIN_MILLISECONDS;
    const entries = [...this.#entries.values()];
    const committed: GroupOffset[] = [];
    const uncommitted: GroupOffset[] = [];
    await Promise.all(
      entries.map(async (entry) => {
        const { active } = entry;
        await this.#close(entry, drain);
        const { consumerGroupId } = entry.definition;
        for (const offset of active?.committed ?? []) committed.push({ ...offset, consumerGroupId });
        for (const offset of active?.uncommitted ?? []) uncommitted.push({ ...offset, consumerGroupId });
      }),
    );
    return { committed, uncommitted };
  }

  // The state machine.

  #known(uuid: string): Entry {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) throw new HeadraceError('CONFIGURATION', `There is no mapping ${uuid}.`);
    return entry;
  }

  #settledEntry(uuid: string, operation: 'update' | 'delete'): Entry {
    const entry = this.#known(uuid);
    if (entry.state !== 'Enabled' && entry.state !== 'Disabled')
      throw new MappingInUse(`Cannot ${operation} the event source mapping because it is in use.`);
    return entry;
  }

  #transition(entry: Entry, state: MappingState): StoredMapping {
    if (this.#stopping || this.#entries.get(entry.definition.uuid) !== entry) return stored(entry);
    entry.state = state;
    entry.reason = entry.active?.reason ?? USER_INITIATED;
    entry.lastModified = this.#options.clock.now() / 1000;
    const mapping = stored(entry);
    this.#options.store.put(mapping);
    return mapping;
  }

  #activate(entry: Entry): ActiveMapping {
    const active = new ActiveMapping(entry.definition, entry.lastProcessingResult, this.#context, () => {
      entry.lastProcessingResult = active.lastProcessingResult;
      // The reason is part of the state and is kept; the result changes too often for a durable write each time.
      if (entry.reason !== active.reason) this.#transition(entry, entry.state);
    });
    entry.active = active;
    this.#checkTimeout(entry);
    return active;
  }

  #enable(entry: Entry): void {
    const active = this.#activate(entry);
    const { clock } = this.#options;
    const from = entry.state;
    const enabled = (): void => {
      clock.clearTimeout(timer);
      if (entry.active === active && entry.state === from) this.#transition(entry, 'Enabled');
    };
    const timer = clock.setTimeout(enabled, ENABLED_AFTER_MILLISECONDS);
    void active.settled.then(() => this.#later(enabled));
  }

  async #disable(entry: Entry): Promise<void> {
    await this.#close(entry, DEFAULT_DRAIN_MILLISECONDS);
    this.#later(() => this.#transition(entry, 'Disabled'));
  }

  async #close(entry: Entry, drainMilliseconds: number): Promise<void> {
    const { active } = entry;
    if (active === undefined) return;
    await active.close(drainMilliseconds);
    entry.lastProcessingResult = active.lastProcessingResult;
    entry.active = undefined;
  }

  #remove(entry: Entry): void {
    const { uuid } = entry.definition;
    this.#entries.delete(uuid);
    this.#options.store.remove(uuid);
  }

  #later(action: () => void): void {
    this.#options.clock.setTimeout(action, 0);
  }

  #checkTimeout(entry: Entry): void {
    const { functionArn } = entry.definition;
    const seconds = this.#options.functionTimeout?.(functionArn);
    if (seconds !== undefined && seconds > LONGEST_FUNCTION_TIMEOUT_SECONDS)
      entry.active?.warn(
        'timeout',
        `${functionArn} may run ${seconds} s; Kafka event sources allow 14 minutes at most.`,
      );
  }
}

function stored(entry: Entry): StoredMapping {
  return {
    definition: entry.definition,
    status: {
      state: entry.state,
      stateTransitionReason: entry.reason,
      lastProcessingResult: entry.lastProcessingResult,
      lastModified: entry.lastModified,
    },
  };
}
