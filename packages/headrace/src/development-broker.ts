import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Broker, DataDirectoryInUseError, startBroker } from '@headrace/dev-broker';
import { HeadraceError } from './errors.ts';
import { makeDataFolder } from './store/data-folder.ts';

const isTaken = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EADDRINUSE';

/**
 * Starts the development broker for an engine. With a directory it keeps records and offsets there, and comes back on the
 * port that it had: mappings and clients name it by `host:port`. A `port` that was asked for is taken or refused.
 *
 * @throws HeadraceError PORT_IN_USE, DATA_DIRECTORY
 */
export async function startDevelopmentBroker(options: {
  readonly directory: string | undefined;
  readonly port: number | undefined;
}): Promise<Broker> {
  const { directory, port } = options;
  if (directory === undefined) return await start({ port: port ?? 0 }, port);
  const portFile = join(directory, 'port');
  makeDataFolder(directory);
  const dataDir = join(directory, 'data');
  const broker = await start({ port: port ?? readPort(portFile), dataDir }, port).catch(async (error: unknown) => {
    if (error instanceof DataDirectoryInUseError) {
      throw new HeadraceError(
        'DATA_DIRECTORY',
        `${directory} is in use by another process: to share its broker, name it: --bootstrap-servers 127.0.0.1:${readPort(portFile)}`,
        { cause: error },
      );
    }
    if (port !== undefined || !isTaken(error)) throw error;
    return await start({ port: 0, dataDir }, port);
  });
  writeFileSync(portFile, broker.bootstrapServers.slice(broker.bootstrapServers.lastIndexOf(':') + 1));
  return broker;
}

async function start(options: { port: number; dataDir?: string }, asked: number | undefined): Promise<Broker> {
  try {
    return await startBroker(options);
  } catch (error) {
    if (asked === undefined || !isTaken(error)) throw error;
    throw new HeadraceError('PORT_IN_USE', `the development broker cannot listen on 127.0.0.1:${asked}`, {
      cause: error,
    });
  }
}

function readPort(file: string): number {
  try {
    const port = Number(readFileSync(file, 'utf8'));
    return Number.isInteger(port) && port > 0 && port < 65_536 ? port : 0;
  } catch {
    return 0; // the first start in this directory
  }
}
