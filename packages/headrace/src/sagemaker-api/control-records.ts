import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeAtomically } from './files.ts';
import type { Metric } from './training.ts';

/** What a client sent, kept as it was, with what became of it. Times are seconds since the epoch. */
export interface TrainingJobRecord {
  readonly request: Readonly<Record<string, unknown>>;
  readonly arn: string;
  readonly created: number;
  modified: number;
  status: 'InProgress' | 'Completed' | 'Failed' | 'Stopping' | 'Stopped';
  failure?: string;
  artifact?: string;
  metrics?: Metric[];
}

/** A model or an endpoint configuration. */
export interface PlainRecord {
  readonly request: Readonly<Record<string, unknown>>;
  readonly arn: string;
  readonly created: number;
}

export interface EndpointRecord {
  readonly arn: string;
  readonly created: number;
  modified: number;
  config: string;
  status: 'Creating' | 'Updating' | 'InService' | 'Failed';
  failure?: string;
}

export interface Records {
  trainingJobs: Record<string, TrainingJobRecord>;
  models: Record<string, PlainRecord>;
  endpointConfigs: Record<string, PlainRecord>;
  endpoints: Record<string, EndpointRecord>;
}

/** Names come from clients; without a prototype none of them is there already. */
function named<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}

/** The control operations' records, in one JSON file that is replaced whole. Without a path they are not kept. */
export class RecordBook {
  readonly records: Records;
  private readonly path: string | undefined;
  private writing: Promise<void> = Promise.resolve();

  constructor(path: string | undefined) {
    this.path = path;
    this.records = { trainingJobs: named(), models: named(), endpointConfigs: named(), endpoints: named() };
    if (path === undefined) return;
    mkdirSync(dirname(path), { recursive: true });
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    const saved = JSON.parse(text) as Records;
    for (const kind of Object.keys(this.records) as (keyof Records)[]) Object.assign(this.records[kind], saved[kind]);
  }

  /** Resolves when the present state is on disk. */
  save(): Promise<void> {
    const { path } = this;
    if (path === undefined) return Promise.resolve();
    const text = JSON.stringify(this.records);
    const written = this.writing.then(() => writeAtomically(path, text));
    this.writing = written.catch(() => undefined);
    return written;
  }
}
