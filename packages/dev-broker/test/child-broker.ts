import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { BrokerOptions } from '../src/index.ts';

/** A broker in a process of its own, to be killed. */
export interface ChildBroker extends AsyncDisposable {
  readonly bootstrapServers: string;
  readonly processId: number;
  /** Ends it at once, as kill -9 does; resolves when it is gone. */
  kill(): Promise<void>;
}

/** @param options as JSON has them */
export async function startChildBroker(
  options: Omit<BrokerOptions, 'clock' | 'authorize' | 'onError'>,
): Promise<ChildBroker> {
  const script = `
    import { startBroker } from ${JSON.stringify(import.meta.resolve('../src/index.ts'))};
    const broker = await startBroker(${JSON.stringify(options)});
    console.log(broker.bootstrapServers);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const first = await Promise.race([once(createInterface(child.stdout), 'line'), exited]);
  if (typeof first[0] !== 'string') throw new Error(`the broker has ended with ${first.join()}`);
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  return { bootstrapServers: first[0], processId: child.pid!, kill, [Symbol.asyncDispose]: kill };
}
