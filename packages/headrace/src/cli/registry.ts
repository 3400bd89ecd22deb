import type { Command } from './command.ts';

interface Entry {
  readonly summary: string;
  /** Absent: named in the design, not built yet. */
  readonly load?: () => Promise<{ readonly command: Command }>;
}

/** Every command of the line, in the order of `--help`. Modules are loaded when they are called. */
export const commands: Readonly<Record<string, Entry>> = {
  demo: {
    summary: 'the whole pipeline on embedded parts: logs, scores, alerts',
    load: () => import('./commands/demo.ts'),
  },
  run: { summary: 'run your own handler on a topic, in one line', load: () => import('./commands/run.ts') },
  start: { summary: 'start the engine and its endpoint', load: () => import('./commands/start.ts') },
  deploy: { summary: 'deploy a SAM or CloudFormation template', load: () => import('./commands/deploy.ts') },
  plan: { summary: 'show what deploy would do, and what AWS would refuse' },
  'delete-stack': { summary: 'remove what deploy made' },
  dev: { summary: 'deploy and follow edits' },
  logs: { summary: "read a function's log", load: () => import('./commands/logs.ts') },
  mappings: {
    summary: 'event source mappings: state, lag, the way to Kafka, what blocks one',
    load: () => import('./commands/mappings.ts'),
  },
  filter: {
    summary: 'try a filter pattern on a file or a topic',
    load: () => import('./commands/filter.ts'),
  },
  check: { summary: 'walk the way to a Kafka cluster hop by hop', load: () => import('./commands/check.ts') },
  anomaly: { summary: 'score a file of measurements', load: () => import('./commands/anomaly.ts') },
  broker: { summary: 'a Kafka broker for development', load: () => import('./commands/broker.ts') },
  backup: { summary: 'copy the data directory while it is in use', load: () => import('./commands/backup.ts') },
};
