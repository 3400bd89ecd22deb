/** What becomes of mappings, as lines of the log. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Clock } from '../clock.ts';
import { mappingStatusChannel } from './channels.ts';

/** A function that fails now and then changes its mapping's result with every batch: nobody reads so much. */
const QUIET_MILLISECONDS = 5_000;

interface Told {
  latest: string;
  changes: number;
}

/** Logs each new result of a mapping, at most one line a mapping in five seconds, until the function it returns is called. */
export function logStatuses(log: (line: string) => void, clock: Clock): () => void {
  const told = new Map<string, Told>();
  const timers = new Set<unknown>();
  const quiet = (uuid: string, entry: Told): void => {
    const timer = clock.setTimeout(() => {
      timers.delete(timer);
      if (entry.changes === 0) told.delete(uuid);
      else show(uuid, entry);
    }, QUIET_MILLISECONDS);
    timers.add(timer);
  };
  const show = (uuid: string, entry: Told): void => {
    log(entry.changes > 1 ? `${entry.latest} (after ${entry.changes} changes)` : entry.latest);
    entry.changes = 0;
    quiet(uuid, entry);
  };
  const listener = (message: unknown): void => {
    const { uuid, status, error } = message as {
      readonly uuid: string;
      readonly status: { readonly result: string };
      readonly error?: { readonly message: string; readonly code?: string };
    };
    const why = error === undefined ? '' : ` (${error.code ?? 'error'}: ${error.message})`;
    const latest = `mapping ${uuid}: ${status.result}${why}`;
    const entry = told.get(uuid);
    if (entry !== undefined) {
      entry.latest = latest;
      entry.changes++;
      return;
    }
    const first = { latest, changes: 0 };
    told.set(uuid, first);
    show(uuid, first);
  };
  subscribe(mappingStatusChannel.name, listener);
  return () => {
    unsubscribe(mappingStatusChannel.name, listener);
    for (const timer of timers) clock.clearTimeout(timer);
    timers.clear();
  };
}
