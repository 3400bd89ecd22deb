// The function of the peers: a plain HTTP server around a handler that does nothing.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const latency = Number(process.argv[2] ?? 0);
const latencyFolder = process.argv[3];
let handler = async (_event: unknown): Promise<void> => {
  if (latency > 0) await new Promise((resolve) => setTimeout(resolve, latency));
};
if (latencyFolder !== undefined) {
  process.env['LATENCY_FOLDER'] = latencyFolder;
  const path = new URL('./latency-function/index.mjs', import.meta.url).href;
  ({ handler } = (await import(path)) as { handler: typeof handler });
}
const server = createServer((incoming, outgoing) => {
  const parts: Buffer[] = [];
  incoming.on('data', (part: Buffer) => parts.push(part));
  incoming.on('end', async () => {
    await handler(JSON.parse(Buffer.concat(parts).toString()));
    outgoing.end('null');
  });
});
server.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});
// Ends with whoever started it.
process.stdin.on('end', () => process.exit(0)).resume();
