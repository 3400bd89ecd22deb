/**
 * One mapping while it polls: its cluster, its group member, its poller, and what is said about it. Made when a mapping
 * is enabled, gone when it is disabled; the supervisor owns it.
 */
import { createHash } from 'node:crypto';
import { HeadraceError, toHeadraceError } from '../errors.ts';
import type { GroupConsumer, KafkaCluster } from '../kafka/contract.ts';
import { mappingStatusChannel, mappingWarningChannel } from '../telemetry/channels.ts';
import type { CommittedOffset } from './committer.ts';
import type { MappingDefinition } from './definition.ts';
import { DropNotices } from './drop-notices.ts';
import { compileFilterCriteria, InvalidFilterError } from './filter.ts';
import type { MemoryBudget } from './memory-budget.ts';
import { compileMapping, type EngineOptions, type MappingOptions, startingPosition } from './options.ts';
import { Poller } from './poller.ts';
import type { PollerContext, PollerObserver } from './poller-context.ts';
import type { FailureCondition } from './settlement.ts';
import type { Slice } from './slice.ts';
import {
  AUTHENTICATION_ERROR,
  CONFIGURATION_ERROR,
  DESTINATION_UNREACHABLE,
  FUNCTION_CALL_FAILED,
  isSourceProblem,
  NO_RECORDS_PROCESSED,
  OK,
  sourceProblem,
  USER_INITIATED,
} from './status.ts';

/** How long a failed resolution of a cluster waits before the next, and refused credentials before they are read anew. */
const RESOLVE_AGAIN_MILLISECONDS = 5000;
const MOST_WARNINGS = 50;
/** How many are allowed is for the API to say; here the raised quota holds. */
const MOST_FILTERS = 10;

export interface ActiveMappingContext extends Omit<PollerContext, 'observer' | 'memory'> {
  readonly memory: MemoryBudget;
  readonly clusters: (definition: MappingDefinition) => Promise<KafkaCluster>;
  readonly engine: EngineOptions;
  /** Of the engine. */
  readonly restartIdentity: string | undefined;
}

export class ActiveMapping {
  lastProcessingResult: string;
  /** Written by what the source says; `USER_INITIATED` while all is well. */
  reason: string = USER_INITIATED;

  readonly #context: ActiveMappingContext;
  readonly #onChange: () => void;
  readonly #warnings = new Map<string, string>();
  readonly #drops: DropNotices;
  /** What is wrong with the source now. */
  #trouble: { readonly error: HeadraceError; readonly result: string; readonly reason: string | undefined } | undefined;
  /** It was a former consumer that said so, maybe of a former process: the next one says nothing where all is well. */
  #isFormerTrouble = false;
  #formerPollingErrors = 0;
  #definition: MappingDefinition;
  #cluster: KafkaCluster | undefined;
  #consumer: GroupConsumer | undefined;
  #poller: Poller | undefined;
  #timer: unknown;
  #renewTimer: unknown;
  #renewing: Promise<void> | undefined;
  #closing = false;
  #closed: Promise<void> | undefined;
  #settled!: () => void;
  /** Resolves when partitions were assigned, or when it is known that something is wrong. */
  readonly settled: Promise<void>;

  constructor(
    definition: MappingDefinition,
    lastProcessingResult: string,
    context: ActiveMappingContext,
    onChange: () => void,
  ) {
    this.#definition = definition;
    this.#context = context;
    this.#onChange = onChange;
    this.#drops = new DropNotices(context.clock, (condition, text) => {
      // The latest of its kind is kept.
      this.#warnings.delete(`dropped ${condition}`);
      this.warn(`dropped ${condition}`, text);
    });
    this.lastProcessingResult = lastProcessingResult;
    this.#isFormerTrouble = isSourceProblem(lastProcessingResult);
    this.settled = new Promise((resolve) => {
      this.#settled = resolve;
    });
    void this.#start();
  }

  get poller(): Poller | undefined {
    return this.#poller;
  }

  get rebalances(): number {
    return this.#consumer?.rebalances ?? 0;
  }

  /** Also of consumers that are gone, and of attempts to find the cluster at all. */
  get pollingErrors(): number {
    return this.#formerPollingErrors + (this.#consumer?.pollingErrors ?? 0);
  }

  get warnings(): string[] {
    return [...this.#warnings.values()];
  }

  get committed(): CommittedOffset[] {
    return this.#poller?.committed ?? [];
  }

  /** After the end: what was settled up to these offsets is not committed. */
  get uncommitted(): CommittedOffset[] {
    return this.#poller?.uncommitted ?? [];
  }

  /** Swaps what can be swapped while running. */
  reconfigure(definition: MappingDefinition): void {
    this.#definition = definition;
    if (this.#poller !== undefined) this.#poller.reconfigure(this.#compile(this.#poller.options.bootstrapServers));
  }

  /**
   * Finishes or hands back what is in flight within the limit, commits, leaves the group. Asked for again while it goes
   * on (a stop during a delete), it is the same end, within the shorter limit.
   */
  close(drainMilliseconds: number): Promise<void> {
    this.#poller?.limitDrain(drainMilliseconds);
    this.#closed ??= this.#close(drainMilliseconds);
    return this.#closed;
  }

  async #close(drainMilliseconds: number): Promise<void> {
    this.#closing = true;
    this.#context.clock.clearTimeout(this.#timer);
    this.#context.clock.clearTimeout(this.#renewTimer);
    this.#settled();
    await this.#renewing;
    // The consumer's own limit leaves room for the last commit.
    await this.#consumer?.close({ timeoutMilliseconds: drainMilliseconds + 5000 });
    this.#poller?.abandon();
    this.#drops.close();
    await this.#cluster?.close();
  }

  async #start(): Promise<void> {
    try {
      const definition = this.#definition;
      const cluster = await this.#context.clusters(definition);
      if (this.#closing) {
        await cluster.close();
        return;
      }
      this.#cluster = cluster;
      const servers = definition.bootstrapServers ?? cluster.bootstrapServers ?? [];
      const context = { ...this.#context, observer: this.#observer, memory: this.#context.memory.share() };
      const poller = new Poller(this.#compile(servers), context, this.#poller?.counts);
      this.#poller = poller;
      const { restartIdentity } = this.#context;
      this.#consumer = cluster.createGroupConsumer(
        {
          groupId: definition.consumerGroupId,
          topics: definition.topics,
          startingPosition: startingPosition(definition),
          clientId: `${definition.uuid}-0`,
          ...(restartIdentity === undefined ? {} : { restartIdentity: memberName(restartIdentity, definition.uuid) }),
        },
        poller,
      );
      poller.attach(this.#consumer);
      this.#isFormerTrouble ||= this.#trouble !== undefined;
      this.#consumer.start();
    } catch (error) {
      this.#formerPollingErrors++;
      this.#observer.source(startError(error));
      if (!this.#closing) {
        this.#timer = this.#context.clock.setTimeout(() => void this.#start(), RESOLVE_AGAIN_MILLISECONDS);
      }
    }
  }

  /** Credentials that are refused may have been rotated: after a while they are read anew, for a new membership. */
  #renewLater(): void {
    if (this.#closing || this.#renewTimer !== undefined || this.#consumer === undefined) return;
    this.#renewTimer = this.#context.clock.setTimeout(() => {
      this.#renewTimer = undefined;
      if (!this.#closing && isAboutCredentials(this.reason)) this.#renewing = this.#renew();
    }, RESOLVE_AGAIN_MILLISECONDS);
  }

  async #renew(): Promise<void> {
    const consumer = this.#consumer;
    const cluster = this.#cluster;
    this.#formerPollingErrors = this.pollingErrors;
    this.#consumer = undefined;
    this.#cluster = undefined;
    await consumer?.close({ timeoutMilliseconds: this.#context.revokeTimeoutMilliseconds });
    this.#poller?.abandon();
    await cluster?.close();
    if (!this.#closing) await this.#start();
  }

  #compile(bootstrapServers: readonly string[]): MappingOptions {
    const { engine } = this.#context;
    const filter = compileFilterCriteria(this.#definition.filterCriteria, { maximumFilters: MOST_FILTERS });
    for (const warning of filter?.warnings ?? []) this.#observer.warning(`filter ${warning}`, warning);
    return compileMapping(this.#definition, bootstrapServers, filter, engine);
  }

  #say(result: string, reason: string, error?: HeadraceError | { type: string; message: string }): void {
    if (this.lastProcessingResult === result && this.reason === reason) return;
    this.lastProcessingResult = result;
    this.reason = reason;
    this.#onChange();
    if (mappingStatusChannel.hasSubscribers)
      mappingStatusChannel.publish({ uuid: this.#definition.uuid, status: { result, reason }, error });
  }

  readonly #observer: PollerObserver = {
    assigned: () => {
      this.#settled();
      if (this.#isFormerTrouble) this.#observer.source(undefined);
    },
    processed: (failure) => {
      // A part of the source that stands still is not covered up by what goes on beside it.
      if (failure !== undefined) this.#say(FUNCTION_CALL_FAILED, this.#trouble?.reason ?? USER_INITIATED, failure);
      else if (this.#trouble === undefined) this.#say(OK, USER_INITIATED);
      else this.#say(this.#trouble.result, this.#trouble.reason ?? USER_INITIATED, this.#trouble.error);
    },
    source: (error) => {
      this.#settled();
      this.#isFormerTrouble = false;
      if (error === undefined) {
        this.#trouble = undefined;
        // Said anew when it comes again.
        for (const key of this.#warnings.keys()) if (key.startsWith('source ')) this.#warnings.delete(key);
        if (this.reason !== USER_INITIATED || this.lastProcessingResult !== NO_RECORDS_PROCESSED)
          this.#say(OK, USER_INITIATED);
        return;
      }
      const { result, reason } = sourceProblem(error);
      this.#trouble = { error, result, reason };
      this.#say(result, reason ?? USER_INITIATED, error);
      this.warn(`source ${error.code}`, withCure(error));
      if (isAboutCredentials(reason)) this.#renewLater();
    },
    delivered: () => {
      if (this.lastProcessingResult === DESTINATION_UNREACHABLE) this.#observer.processed(undefined);
    },
    destinationFailed: (error) => {
      this.#say(DESTINATION_UNREACHABLE, USER_INITIATED, error);
      this.warn(`destination ${error.code}`, withCure(error));
    },
    dropped: (condition: FailureCondition, slices: readonly Slice[]) => this.#drops.note(condition, slices),
    answered: (payload) => {
      if (!this.#warnings.has('status code') && looksLikeServerError(payload))
        this.warn(
          'status code',
          `${this.#definition.functionArn} answered a batch with statusCode 500 or more. An event source mapping ignores the answer and counts the batch as processed: throw an error to have it tried again.`,
        );
    },
    warning: (key, text) => this.warn(key, text),
  };

  /** Says something that a person should know, once for each `key`. The last of them are kept. */
  warn(key: string, text: string): void {
    if (this.#warnings.has(key)) return;
    for (const oldest of this.#warnings.keys()) {
      if (this.#warnings.size < MOST_WARNINGS) break;
      this.#warnings.delete(oldest);
    }
    this.#warnings.set(key, text);
    mappingWarningChannel.publish({ uuid: this.#definition.uuid, warning: text });
  }
}

/** Messages of errors are no sentences: they have no full stop. */
const withCure = ({ message, cure }: HeadraceError): string => `${message}${/[.!?]$/.test(message) ? '' : '.'} ${cure}`;

/** What new secrets can cure. */
const isAboutCredentials = (reason: string | undefined): boolean =>
  reason === AUTHENTICATION_ERROR || reason === CONFIGURATION_ERROR;

/** One name a mapping: two mappings of an engine may be members of the same group. */
function memberName(engine: string, uuid: string): string {
  return createHash('sha256').update(`${engine}/${uuid}`).digest('base64url').slice(0, 22);
}

function startError(error: unknown): HeadraceError {
  if (!(error instanceof InvalidFilterError)) return toHeadraceError(error);
  return new HeadraceError('CONFIGURATION', `${error.message} ${error.detail}`, { cause: error });
}

/** An answer made for an HTTP integration that reports a failure; nobody reads it here. */
function looksLikeServerError(payload: Buffer): boolean {
  if (payload.length > 65_536 || payload[0] !== 0x7b || !payload.includes('"statusCode"')) return false;
  try {
    const { statusCode } = JSON.parse(payload.toString('utf8')) as { statusCode?: unknown };
    return typeof statusCode === 'number' && statusCode >= 500;
  } catch {
    return false;
  }
}
