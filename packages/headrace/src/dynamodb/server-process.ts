// Runs dynalite in a process of its own (see api.ts) and hands its port back. It ends with its parent: the channel
// between the two closes with either.

import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';

// dynalite is CommonJS without types.
const dynalite = createRequire(import.meta.url)('dynalite') as (options: {
  path?: string;
  createTableMs: number;
  deleteTableMs: number;
  updateTableMs: number;
}) => Server;

const [path] = process.argv.slice(2);
const server = dynalite({
  ...(path ? { path } : {}),
  // Tables are there at once: nobody here needs the wait that AWS has.
  createTableMs: 0,
  deleteTableMs: 0,
  updateTableMs: 0,
});
server.listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
// Closes the database as well, so that what was written is whole.
process.on('disconnect', () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
