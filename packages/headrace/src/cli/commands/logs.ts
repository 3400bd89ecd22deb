import { setTimeout as delay } from 'node:timers/promises';
import { HeadraceError } from '../../errors.ts';
import { type FilteredEvent, filterLogEvents } from '../../logs-api/client.ts';
import { clientError, clientFlags, readClientFlags } from '../client-flags.ts';
import type { Command } from '../command.ts';
import { listenForShutdown } from '../signals.ts';

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const followMilliseconds = 500;
/** Files are written a moment after their events: following looks that far back and leaves out what was shown. */
const overlapMilliseconds = 2_000;

export const command: Command = {
  usage: 'logs FUNCTION [--follow] [--since 5m] [--filter TEXT] [options]',
  description:
    "Prints a function's log: START, the function's own lines, END, REPORT, in the order of time over all of its " +
    'execution environments. A name that begins with a slash is a log group itself. The same logs are read by ' +
    'aws logs tail and aws logs filter-log-events.',
  positionals: ['FUNCTION'],
  options: {
    ...clientFlags,
    follow: { type: 'boolean', short: 'f', description: 'goes on until Ctrl-C' },
    since: { type: 'string', value: 'TIME', description: 'how far back: 30s, 5m, 2h, 1d (default 10m)' },
    filter: { type: 'string', value: 'TEXT', description: 'only events that hold this text' },
    json: { type: 'boolean', description: 'one JSON object a line' },
  },
  examples: [
    { line: 'headrace logs my-function --follow', does: 'what it writes now' },
    { line: 'headrace logs my-function --since 1h --filter ERROR', does: 'the errors of the last hour' },
  ],
  async run({ positionals, options, terminal }) {
    const name = positionals[0]!;
    const client = readClientFlags(options);
    const since = options.string('since') ?? '10m';
    const match = /^(\d{1,9})([smhd])$/.exec(since);
    if (match === null) throw new HeadraceError('USAGE', `--since must be a number and s, m, h or d; it is "${since}"`);
    const filter = options.string('filter');
    const json = options.boolean('json');
    const query = {
      logGroupName: name.startsWith('/') ? name : `/aws/lambda/${name.split(':').at(-1)}`,
      ...(filter === undefined ? {} : { filterPattern: `"${filter.replace(/["\\]/g, '\\$&')}"` }),
    };
    const print = (event: FilteredEvent): void => {
      if (json) {
        const { timestamp, logStreamName, message } = event;
        terminal.print(JSON.stringify({ timestamp: new Date(timestamp).toISOString(), logStreamName, message }));
        return;
      }
      const platform = /^(?:INIT_START|START|END|REPORT) /.test(event.message);
      terminal.print(platform ? terminal.style('dim', event.message) : event.message);
    };
    let startTime = Date.now() - Number(match[1]) * units[match[2]!]!;
    const shutdown = listenForShutdown();
    try {
      const shown = new Map<string, number>();
      for (;;) {
        for await (const event of filterLogEvents(client, { ...query, startTime })) {
          if (shown.has(event.eventId)) continue;
          if (options.boolean('follow')) shown.set(event.eventId, event.timestamp);
          print(event);
        }
        if (!options.boolean('follow') || shutdown.signal.aborted) break;
        startTime = Math.max(startTime, Date.now() - overlapMilliseconds);
        for (const [id, timestamp] of shown) if (timestamp < startTime) shown.delete(id);
        await delay(followMilliseconds, undefined, { signal: shutdown.signal }).catch(() => {});
        if (shutdown.signal.aborted) break;
      }
    } catch (error) {
      const refusal = clientError(error, client.endpoint);
      if ((error as Error).name !== 'ResourceNotFoundException') throw refusal;
      const hint = "A function's log begins with its first invocation.";
      throw new HeadraceError(refusal.code, `${refusal.message} ${hint}`, { cause: error });
    } finally {
      shutdown.dispose();
    }
    return shutdown.exitCode ?? 0;
  },
};
