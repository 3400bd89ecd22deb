// The embedded DynamoDB: dynalite in a process of its own, because an item costs it tens of microseconds and much memory.
// Started by table-server.ts; tells its port over the channel and ends when the channel does.
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';

/** dynalite has no types; this is what is used of it (its README, options of the module). */
type Dynalite = (options: {
  path?: string;
  createTableMs: number;
  deleteTableMs: number;
  updateTableMs: number;
}) => Server;

const dynalite = createRequire(import.meta.url)('dynalite') as Dynalite;
const [, , path] = process.argv;

const server = dynalite({
  ...(path === undefined ? {} : { path }),
  createTableMs: 0,
  deleteTableMs: 0,
  updateTableMs: 0,
});
// Connections are pooled by the one client; ending idle ones would race with its next request.
server.keepAliveTimeout = 0;

process.on('disconnect', () => process.exit(0));
// A terminal's Ctrl-C reaches the whole group; the engine decides when the table goes, after what is in flight.
process.on('SIGINT', () => {});
process.on('message', (message) => {
  if (message === 'close') server.close(() => process.exit(0));
});
server.on('error', (error) => {
  process.send?.({ error: error.message });
  process.exitCode = 1;
  process.disconnect();
});
server.listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
