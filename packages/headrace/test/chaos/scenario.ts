import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '@headrace/testing';
import { checkJournal, isComplete, type TopicEnds, type Verdict } from './check.ts';
import { type AcceptedCommits, acceptedCommits, commitsBack } from './commits.ts';
import { type JournalEntry, readJournal } from './journal.ts';
import type { World } from './world.ts';

/** What came of a scenario. */
export interface Report extends Verdict {
  readonly scenario: string;
  readonly protocol: string;
  /** The most duplicates that are in order. */
  readonly bound: number;
  /** Commits that the broker accepted, and how many of them went back behind the one before: must be 0. */
  readonly commits: number;
  readonly commitsBack: number;
  /** What was done, in words. */
  readonly done: string;
  /** What else was not as it must be, in words. */
  readonly problems?: readonly string[];
}

export interface Scenario {
  readonly name: string;
  readonly description: string;
  run(world: World, form: 'short' | 'long'): Promise<Report>;
}

/** When nothing was worked on for so long, nothing more will be: what is missing then is lost. */
const STANDSTILL_MILLISECONDS = 60_000;

/**
 * Waits until all that is in the topic was worked on, however long the backlog takes, then judges the journal and the group's commits. Topic, group and
 * journal of a scenario have one name.
 */
export async function judge(
  world: World,
  name: string,
  ends: TopicEnds,
): Promise<{ verdict: Verdict & Pick<Report, 'protocol' | 'commits' | 'commitsBack'>; accepted: AcceptedCommits }> {
  const journal = world.journal(name);
  let entries = readJournal(journal);
  for (let since = performance.now(); performance.now() - since < STANDSTILL_MILLISECONDS; await delay(250)) {
    if (isComplete(entries, ends)) break;
    const before = entries.length;
    entries = readJournal(journal);
    if (entries.length > before) since = performance.now();
  }
  const verdict = checkJournal(entries, ends);
  const accepted = await acceptedCommits(world.kafka.bootstrapServers, name);
  const commits = [...accepted.values()].reduce((sum, { length }) => sum + length, 0);
  return {
    verdict: { ...verdict, protocol: world.protocol, commits, commitsBack: commitsBack(accepted) },
    accepted,
  };
}

export const entriesOf = (journal: string): JournalEntry[] => readJournal(journal);

/** Resolves when something was written after `since`, by functions of the given engine if one is named. */
export async function progress(journal: string, since: number, life?: number, timeoutMs = 60_000): Promise<void> {
  await eventually(
    () =>
      readJournal(journal).some(
        (entry) => entry.kind !== 'started' && entry.at > since && (life === undefined || entry.life === life),
      ),
    { timeoutMs, everyMs: 100, what: 'a batch in the journal' },
  );
}

/** A part of what a scenario does, not a wait for anything: time passes. */
export const pass = (milliseconds: number): Promise<void> => delay(milliseconds);

export function print(report: Report): string {
  const { scenario, protocol, done, records, lost, outOfOrder, duplicates, bound, faults } = report;
  const { commits, commitsBack: back, longestStall } = report;
  const line = `${scenario} (${protocol}): ${done}; records ${records}, lost ${lost}, out of order ${outOfOrder}, duplicates ${duplicates} (bound ${bound}), commits ${commits}, of them back ${back}, longest stall ${longestStall} ms`;
  return [line, ...faults.map((fault) => `  ${fault}`)].join('\n');
}

/** Why a report is none to be content with; empty when it is. */
export function failures({
  records,
  lost,
  outOfOrder,
  duplicates,
  bound,
  commits,
  commitsBack: back,
  problems = [],
}: Report): string[] {
  const list = [...problems];
  if (records === 0) list.push('there were no records');
  if (lost > 0) list.push(`${lost} records lost`);
  if (outOfOrder > 0) list.push(`${outOfOrder} records out of order`);
  if (duplicates > bound) list.push(`${duplicates} duplicates, ${bound} at most are in order`);
  if (commits === 0) list.push('nothing was committed');
  if (back > 0) list.push(`${back} commits went back`);
  return list;
}
