import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pythonEnvironment } from './python.ts';
import { ServerProcess, temporaryFolder } from './server-process.ts';

const MOTO = 'moto[server]==5.2.5';

/** A moto server: many AWS APIs (SQS, SNS, S3, Secrets Manager, STS, CloudWatch Logs ...) on one port. */
export interface Moto extends AsyncDisposable {
  /** For `AWS_ENDPOINT_URL`, or `endpoint` of an SDK client. */
  readonly endpoint: string;
  /** Forgets everything that was made in it. */
  reset(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts moto on a free port of 127.0.0.1. It needs Python (`needs('python')`) and takes about 2 s. */
export async function startMoto(): Promise<Moto> {
  const { python } = await pythonEnvironment([MOTO]);
  const folder = temporaryFolder('moto');
  // It takes a port by itself and prints it: one that is looked for before somebody else might take meanwhile.
  const run = ['-u', '-c', 'from moto.server import main; main()', '-H', '127.0.0.1', '-p', '0'];
  const server = new ServerProcess(python, run, { logFile: join(folder, 'moto.log'), folder });
  let endpoint = '';
  const post = async (path: string): Promise<boolean> => {
    const response = await fetch(`${endpoint}${path}`, { method: 'POST' });
    return response.ok;
  };
  try {
    await server.ready((log) => {
      endpoint = /Running on (http:\/\/127\.0\.0\.1:\d+)\s/.exec(log)?.[1] ?? '';
      return endpoint !== '' && post('/moto-api/reset').catch(() => false);
    }, 60_000);
  } catch (error) {
    await server.stop(folder);
    throw error;
  }
  const stop = async (): Promise<void> => {
    await server.stop(folder);
    rmSync(folder, { recursive: true, force: true });
  };
  return {
    endpoint,
    async reset() {
      if (!(await post('/moto-api/reset'))) throw new Error('moto refused to reset');
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
