import type { FunctionVersion } from './definition.ts';

/** How an invocation or an initialisation ended, in the words of the telemetry schema. */
export interface EndStatus {
  readonly status: 'success' | 'error' | 'failure' | 'timeout';
  readonly errorType?: string;
}

export interface ReportFigures extends EndStatus {
  readonly requestId: string;
  readonly durationMilliseconds: number;
  readonly initMilliseconds: number | undefined;
  readonly maxMemoryMegabytes: number;
  readonly producedBytes: number;
}

/** The platform's lines in a function's log; undefined: the level filters it out. */
export interface SystemLog {
  initStart(phase: 'init' | 'invoke'): string | undefined;
  /** After an initialisation that failed (Text), or any (JSON at DEBUG). */
  initEnd(phase: 'init' | 'invoke', end: EndStatus, durationMilliseconds: number): readonly string[];
  start(requestId: string, invokedArn: string): string | undefined;
  end(figures: ReportFigures): readonly string[];
}

/** Durations are billed by the millisecond, initialisation included since August 2025. */
const billed = (figures: ReportFigures): number =>
  Math.ceil(figures.durationMilliseconds + (figures.initMilliseconds ?? 0));

export interface LogDetails {
  readonly region: string;
  readonly initializationType: string;
  readonly environmentId: string;
}

export function systemLog(version: FunctionVersion, details: LogDetails): SystemLog {
  return version.logging.format === 'JSON' ? jsonLog(version, details) : textLog(version, details);
}

const runtimeArn = (version: FunctionVersion, region: string): string =>
  `arn:aws:lambda:${region}::runtime:headrace-${version.runtime}`;
const runtimeVersion = (version: FunctionVersion): string =>
  `${version.runtime
    .replace(/^nodejs/, 'nodejs:')
    .replace(/^python/, 'python:')
    .replace(/\.x$/, '')}.headrace`;

function textLog(version: FunctionVersion, details: LogDetails): SystemLog {
  const memory = version.memorySizeMegabytes;
  return {
    initStart: () =>
      `INIT_START Runtime Version: ${runtimeVersion(version)}\tRuntime Version ARN: ${runtimeArn(version, details.region)}`,
    initEnd: (phase, end, duration) => {
      if (end.status === 'success') return [];
      // Of a time-out there is no type to tell.
      const type = end.errorType === undefined || end.status === 'timeout' ? '' : `\tError Type: ${end.errorType}`;
      return [`INIT_REPORT Init Duration: ${duration.toFixed(2)} ms\tPhase: ${phase}\tStatus: ${end.status}${type}`];
    },
    start: (requestId) => `START RequestId: ${requestId} Version: ${version.version}`,
    end: (figures) => {
      const lines: string[] = [];
      if (figures.status === 'timeout') {
        const seconds = version.timeoutSeconds.toFixed(2);
        lines.push(`${new Date().toISOString()} ${figures.requestId} Task timed out after ${seconds} seconds\n`);
      }
      lines.push(`END RequestId: ${figures.requestId}`);
      let report = `REPORT RequestId: ${figures.requestId}\tDuration: ${figures.durationMilliseconds.toFixed(2)} ms\tBilled Duration: ${billed(figures)} ms\tMemory Size: ${memory} MB\tMax Memory Used: ${figures.maxMemoryMegabytes} MB\t`;
      if (figures.initMilliseconds !== undefined)
        report += `Init Duration: ${figures.initMilliseconds.toFixed(2)} ms\t`;
      if (figures.status === 'timeout') report += 'Status: timeout\t';
      else if (figures.status === 'failure') report += `Status: error\tError Type: ${figures.errorType}\t`;
      lines.push(report);
      return lines;
    },
  };
}

const ranks = { DEBUG: 0, INFO: 1, WARN: 2 } as const;

function jsonLog(version: FunctionVersion, details: LogDetails): SystemLog {
  const level = ranks[version.logging.systemLevel ?? 'INFO'];
  const line = (type: string, record: object): string =>
    JSON.stringify({ time: new Date().toISOString(), type: `platform.${type}`, record });
  const initialization = { initializationType: details.initializationType };
  return {
    initStart: (phase) =>
      level > ranks.INFO
        ? undefined
        : line('initStart', {
            ...initialization,
            phase,
            runtimeVersion: runtimeVersion(version),
            runtimeVersionArn: runtimeArn(version, details.region),
            functionName: version.functionName,
            functionVersion: version.version,
            instanceId: details.environmentId,
            instanceMaxMemory: version.memorySizeMegabytes * 1_048_576,
          }),
    initEnd: (phase, end, duration) => {
      if (level > ranks.DEBUG && end.status === 'success') return [];
      const record = { ...initialization, phase, ...statusOf(end) };
      const report = line('initReport', { ...record, metrics: { durationMs: rounded(duration) } });
      return level > ranks.DEBUG ? [report] : [line('initRuntimeDone', record), report];
    },
    start: (requestId, functionArn) =>
      level > ranks.INFO ? undefined : line('start', { requestId, functionArn, version: version.version }),
    end: (figures) => {
      const lines: string[] = [];
      const { requestId } = figures;
      const durationMs = rounded(figures.durationMilliseconds);
      if (figures.status === 'timeout') {
        const seconds = version.timeoutSeconds.toFixed(2);
        lines.push(`${new Date().toISOString()} ${requestId} Task timed out after ${seconds} seconds`);
      }
      if (level <= ranks.DEBUG) {
        const metrics = { durationMs, producedBytes: figures.producedBytes };
        lines.push(line('runtimeDone', { requestId, ...statusOf(figures), metrics }));
      }
      if (level <= ranks.INFO || figures.status !== 'success') {
        const metrics = {
          durationMs,
          billedDurationMs: billed(figures),
          memorySizeMB: version.memorySizeMegabytes,
          maxMemoryUsedMB: figures.maxMemoryMegabytes,
          ...(figures.initMilliseconds === undefined ? {} : { initDurationMs: rounded(figures.initMilliseconds) }),
        };
        lines.push(line('report', { requestId, ...statusOf(figures), metrics }));
      }
      return lines;
    },
  };
}

const rounded = (milliseconds: number): number => Math.round(milliseconds * 1000) / 1000;
const statusOf = (end: EndStatus): object =>
  end.errorType === undefined ? { status: end.status } : { status: end.status, errorType: end.errorType };
