import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface WebhookReceiver {
  readonly url: string;
  close(): Promise<void>;
}

const maximumBody = 256 * 1024;

/** A small HTTP server on the loopback that takes the demo's own alerts. Answers 400 to what is not JSON. */
export async function receiveWebhooks(onAlert: (alert: unknown) => void): Promise<WebhookReceiver> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maximumBody) request.destroy();
      else chunks.push(chunk);
    });
    request.on('end', () => {
      try {
        onAlert(JSON.parse(Buffer.concat(chunks).toString('utf8')));
        response.writeHead(204).end();
      } catch {
        response.writeHead(400).end('not JSON\n');
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/alerts`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
