import { setTimeout as delay } from 'node:timers/promises';
import { HeadraceError } from '../../errors.ts';
import type { MappingSummary, MovedRecord } from '../../gateway/operator-api.ts';
import type { Hop } from '../../kafka/preflight.ts';
import type { BlockingRecord, MappingSnapshot } from '../../mappings/definition.ts';
import { clientFlags, readClientFlags } from '../client-flags.ts';
import type { Command } from '../command.ts';
import { printHop } from '../hops.ts';
import { operatorGet, operatorPost } from '../operator-client.ts';
import type { Terminal } from '../terminal.ts';

const WATCH_MILLISECONDS = 1000;

export const command: Command = {
  usage:
    'mappings [list | show UUID | check UUID | blocked UUID | skip UUID RECORD | park UUID RECORD TOPIC] [options]',
  description:
    'Looks into the event source mappings of a running engine: list gives state and lag of all, show the partitions of ' +
    'one with their offsets, check the way from the engine to its cluster hop by hop, blocked the records that keep partitions from going on, each with its error and next try. ' +
    'skip gives such a record up and goes on behind it; park sends it to another topic of the cluster first. Both only ' +
    'name the record unless --yes is given. RECORD is TOPIC-PARTITION@OFFSET.',
  positionals: ['[WHAT]', '[UUID]', '[RECORD]', '[TOPIC]'],
  options: {
    ...clientFlags,
    yes: { type: 'boolean', description: 'skip or park it, instead of naming it only' },
    watch: { type: 'boolean', description: 'list or show again every second, until interrupted' },
    json: { type: 'boolean', description: 'one JSON document' },
  },
  examples: [
    { line: 'headrace mappings', does: 'all mappings with state and lag' },
    { line: 'headrace mappings check 6a5c0f1e-…', does: 'why this one cannot read its cluster' },
    { line: 'headrace mappings blocked 6a5c0f1e-…', does: 'what holds this one up' },
    { line: 'headrace mappings skip 6a5c0f1e-… orders-0@4711', does: 'the record that would be given up' },
    { line: 'headrace mappings park 6a5c0f1e-… orders-0@4711 orders-parked --yes', does: 'moves it away and goes on' },
  ],
  async run({ positionals, options, terminal }) {
    const [what = 'list', uuid] = positionals;
    const client = readClientFlags(options);
    const json = options.boolean('json');
    const isWatching = options.boolean('watch');
    if (isWatching && what !== 'list' && what !== 'show')
      throw new HeadraceError('USAGE', `--watch goes with list and show, not with ${what}`);
    /** Prints once, or every second until interrupted. */
    const show = async <T>(path: string, print: (answer: T) => void): Promise<number> => {
      do {
        const answer = await operatorGet<T>(client, path);
        if (json) terminal.print(JSON.stringify(answer, null, isWatching ? 0 : 2));
        else print(answer);
        if (isWatching) await delay(WATCH_MILLISECONDS);
      } while (isWatching);
      return 0;
    };
    if (what === 'list')
      return await show<{ mappings: MappingSummary[] }>('mappings', ({ mappings }) => printList(terminal, mappings));
    if (!['show', 'check', 'blocked', 'skip', 'park'].includes(what)) {
      throw new HeadraceError('USAGE', `mappings knows list, show, check, blocked, skip and park, not "${what}"`);
    }
    if (uuid === undefined) throw new HeadraceError('USAGE', `mappings ${what} needs the UUID of a mapping`);
    if (what === 'show')
      return await show<MappingSnapshot>(`mappings/${encodeURIComponent(uuid)}`, (snapshot) =>
        printSnapshot(terminal, snapshot),
      );
    if (what === 'check') {
      const path = `mappings/${encodeURIComponent(uuid)}/check`;
      const result = await operatorGet<{ ok: boolean; hops: Hop[] }>(client, path);
      if (json) terminal.print(JSON.stringify(result, null, 2));
      else for (const hop of result.hops) printHop(terminal, hop);
      return result.ok ? 0 : 1;
    }
    if (what === 'skip' || what === 'park') {
      const [, , record, to] = positionals;
      const path = `mappings/${encodeURIComponent(uuid)}/${what}`;
      const dryRun = !options.boolean('yes');
      const place = readPlace(record);
      if (what === 'park' && to === undefined) throw new HeadraceError('USAGE', 'mappings park needs a topic');
      const moved = await operatorPost<MovedRecord>(client, path, {
        ...place,
        dryRun,
        ...(to === undefined ? {} : { to }),
      });
      if (json) terminal.print(JSON.stringify(moved, null, 2));
      else {
        printBlocked(terminal, [moved.record]);
        const verb = what === 'skip' ? 'skipped' : `parked in ${to}`;
        terminal.print(dryRun ? `would be ${verb}; do it with --yes` : verb);
      }
      return 0;
    }
    const answer = await operatorGet<{ blocked: BlockingRecord[] }>(
      client,
      `mappings/${encodeURIComponent(uuid)}/blocked`,
    );
    if (json) terminal.print(JSON.stringify(answer, null, 2));
    else printBlocked(terminal, answer.blocked);
    return 0;
  },
};

/** `orders-0@4711`: the topic may hold dashes, so partition and offset are read from the end. */
function readPlace(text: string | undefined): { topic: string; partition: number; offset: number } {
  const match = /^(.+)-(\d+)@(\d+)$/.exec(text ?? '');
  if (match === null)
    throw new HeadraceError(
      'USAGE',
      `a record is named TOPIC-PARTITION@OFFSET, such as orders-0@4711, not "${text ?? ''}"`,
    );
  return { topic: match[1]!, partition: Number(match[2]), offset: Number(match[3]) };
}

const shown = (value: number | null): string => (value === null ? '-' : String(value));

function printList(terminal: Terminal, mappings: readonly MappingSummary[]): void {
  if (mappings.length === 0) terminal.print('no event source mappings');
  for (const mapping of mappings) {
    const name = mapping.functionArn.split(':').slice(6).join(':');
    terminal.print(
      `${mapping.uuid}  ${mapping.state.padEnd(9)} ${mapping.topics.join(',')} → ${name}  lag ${shown(mapping.lag)} (${shown(mapping.lagSeconds)} s)  ${mapping.lastProcessingResult}`,
    );
    if (mapping.blocked > 0)
      terminal.print(`  ${mapping.blocked} partitions blocked: headrace mappings blocked ${mapping.uuid}`);
    printTrouble(terminal, mapping);
  }
}

/** Warnings, and where the way to the cluster is the trouble how to look at it. */
function printTrouble(
  terminal: Terminal,
  { uuid, stateTransitionReason, lastProcessingResult, warnings }: MappingSummary | MappingSnapshot,
): void {
  for (const warning of warnings) terminal.print(`  ${warning}`);
  const isSource =
    stateTransitionReason !== 'USER_INITIATED' || lastProcessingResult.includes('event source connection');
  if (isSource) terminal.print(`  ${stateTransitionReason}: see headrace mappings check ${uuid}`);
}

function printSnapshot(terminal: Terminal, snapshot: MappingSnapshot): void {
  const { counts } = snapshot;
  terminal.print(`${snapshot.uuid}  ${snapshot.state}  ${snapshot.lastProcessingResult}`);
  terminal.print(`${snapshot.topics.join(',')} → ${snapshot.functionArn}, group ${snapshot.consumerGroupId}`);
  terminal.print(
    `received ${counts.received}, filtered ${counts.filtered}, invocations ${counts.invocations} (${counts.failedInvocations} failed, ${counts.throttles} throttled), pollers ${snapshot.pollers}`,
  );
  for (const partition of snapshot.partitions) {
    const { topic, committedOffset, settledOffset, position, inFlight, highWatermark, lag, lagSeconds } = partition;
    terminal.print(
      `  ${topic}-${partition.partition}  committed ${committedOffset}  settled ${settledOffset}  next ${position}  in flight ${inFlight}  end ${highWatermark}  lag ${lag} (${lagSeconds} s)`,
    );
    if (partition.blockedBy !== undefined) printBlocked(terminal, [partition.blockedBy]);
  }
  printTrouble(terminal, snapshot);
}

function printBlocked(terminal: Terminal, blocked: readonly BlockingRecord[]): void {
  if (blocked.length === 0) terminal.print('nothing is blocked');
  for (const record of blocked) {
    terminal.print(
      `${record.topic}-${record.partition} at offset ${record.offset}: ${record.attempts} attempts since ${record.firstFailure}, next ${record.nextAttempt ?? 'unknown'}`,
    );
    terminal.print(`  ${record.error.type}: ${record.error.message}`);
  }
}
