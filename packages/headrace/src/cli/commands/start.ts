import { systemClock } from '../../clock.ts';
import { startEngine } from '../../engine.ts';
import type { GroupOffset } from '../../mappings/definition.ts';
import { logStatuses } from '../../telemetry/status-lines.ts';
import type { Command } from '../command.ts';
import { engineFlags, readEngineFlags } from '../engine-flags.ts';
import { listenForShutdown } from '../signals.ts';

export const command: Command = {
  usage: 'start [--bootstrap-servers HOST:PORT] [options]',
  description:
    'Starts the engine and its endpoint: Lambda, SageMaker, STS and DynamoDB on one port. Clients find it by ' +
    'AWS_ENDPOINT_URL. Goes on where the data directory says it stopped. Ctrl-C or SIGTERM drains: fetching stops, what is ' +
    'in flight ends or is handed back, offsets are committed.',
  options: {
    ...engineFlags,
    json: { type: 'boolean', description: 'print the line that says it is ready as JSON' },
  },
  examples: [
    { line: 'headrace start', does: 'everything on this machine, with a development broker' },
    { line: 'headrace start --bootstrap-servers kafka:9092 --data-dir /var/lib/headrace', does: 'on your own Kafka' },
    {
      line: 'aws --endpoint-url http://127.0.0.1:9400 --region us-east-1 --no-sign-request lambda list-functions',
      does: 'any AWS client works',
    },
  ],
  async run({ options, terminal }) {
    const engineOptions = readEngineFlags(options);
    const shutdown = listenForShutdown(() => terminal.warn('headrace: second signal, ending at once'));
    const endStatuses = logStatuses((line) => terminal.warn(line), systemClock);
    if (engineOptions.dataDirectory === ':memory:')
      terminal.warn('headrace: :memory: keeps nothing: functions, mappings and tables end with this process');
    const engine = await startEngine({ ...engineOptions, log: (line) => terminal.warn(line) });
    if (options.boolean('json')) {
      terminal.print(
        JSON.stringify({ ready: true, endpoint: engine.endpoint, bootstrapServers: engine.bootstrapServers.join(',') }),
      );
    } else {
      terminal.print(`headrace is ready: ${engine.endpoint}  (Kafka ${engine.bootstrapServers.join(',')})`);
    }
    await new Promise<void>((resolve) => {
      if (shutdown.signal.aborted) resolve();
      else shutdown.signal.addEventListener('abort', () => resolve());
    });
    terminal.warn('headrace: draining');
    const { uncommitted } = await engine.stop();
    endStatuses();
    shutdown.dispose();
    terminal.warn(
      uncommitted.length === 0
        ? 'headrace: stopped, offsets committed'
        : `headrace: stopped; what was settled last could not be committed and comes again: ${uncommitted.map(nameOffset).join(', ')}`,
    );
    return shutdown.exitCode === 130 ? 130 : 0;
  },
};

/** Also the group: two mappings may read one topic. */
function nameOffset({ topic, partition, offset, consumerGroupId }: GroupOffset): string {
  return `${topic}-${partition} up to offset ${offset} (group ${consumerGroupId})`;
}
