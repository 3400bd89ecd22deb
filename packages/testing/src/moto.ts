import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './port.ts';
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
  const port = await freePort();
  const folder = temporaryFolder('moto');
  const endpoint = `http://127.0.0.1:${port}`;
  const run = ['-c', 'from moto.server import main; main()', '-H', '127.0.0.1', '-p', String(port)];
  const server = new ServerProcess(python, run, { logFile: join(folder, 'moto.log'), folder });
  const post = async (path: string): Promise<boolean> => {
    const response = await fetch(`${endpoint}${path}`, { method: 'POST' });
    return response.ok;
  };
  try {
    await server.ready(() => post('/moto-api/reset').catch(() => false), 60_000);
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
