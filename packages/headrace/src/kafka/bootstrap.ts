import { HeadraceError, toHeadraceError } from '../errors.ts';
import { type Address, Connection, type ConnectionOptions } from './connection.ts';

/** After this long without an answer the next bootstrap address is tried besides. */
const STAGGER_MILLISECONDS = 500;

/**
 * `host:port`, `[::1]:9092`; the port is 9092 where none is given.
 *
 * @throws HeadraceError CONFIGURATION
 */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s/]+))(?::(\d{1,5}))?$/.exec(text.trim().replace(/^[A-Z_]+:\/\//, ''));
  const port = Number(match?.[3] ?? 9092);
  if (match === null || port < 1 || port > 65_535) {
    throw new HeadraceError('CONFIGURATION', `bootstrap server "${text}": give HOST:PORT with a port of 1 to 65535`);
  }
  return { host: match[1] ?? match[2]!, port };
}

/**
 * Connects to the first of the addresses that answers. The list is gone through in random order, the next address joins
 * in when the former failed or is silent for half a second, so dead hosts in the list cost little.
 *
 * @throws HeadraceError the most telling of the failures: a refusal before an unreachable host
 */
export function connectToAny(addresses: readonly Address[], options: ConnectionOptions): Promise<Connection> {
  const order = addresses.map((address) => ({ address, key: Math.random() })).sort((a, b) => a.key - b.key);
  return new Promise((resolve, reject) => {
    const failures: HeadraceError[] = [];
    let next = 0;
    let timer: NodeJS.Timeout | undefined;
    let isDone = false;
    const tryNext = (): void => {
      clearTimeout(timer);
      const entry = order[next];
      if (isDone || entry === undefined) return;
      next++;
      if (next < order.length) timer = setTimeout(tryNext, STAGGER_MILLISECONDS);
      Connection.open(entry.address, options).then(
        (connection) => {
          if (isDone) connection.close();
          else {
            isDone = true;
            clearTimeout(timer);
            resolve(connection);
          }
        },
        (error: unknown) => {
          failures.push(toHeadraceError(error, 'KAFKA_UNREACHABLE'));
          if (isDone) return;
          if (failures.length === order.length) {
            isDone = true;
            reject(mostTelling(failures));
          } else tryNext();
        },
      );
    };
    tryNext();
  });
}

const ranks = ['KAFKA_AUTHENTICATION', 'KAFKA_TLS', 'SECRET_UNAVAILABLE', 'CONFIGURATION', 'KAFKA_UNSUPPORTED'];

function mostTelling(failures: readonly HeadraceError[]): HeadraceError {
  for (const code of ranks) {
    const found = failures.find((failure) => failure.code === code);
    if (found !== undefined) return found;
  }
  if (failures.length === 1) return failures[0]!;
  return new HeadraceError('KAFKA_UNREACHABLE', failures.map((failure) => failure.message).join('; '), {
    cause: failures[0],
  });
}
