import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { describe, test } from 'node:test';
import { HeadraceProcess } from './demo/headrace-process.ts';

/** What listens where somebody thinks an engine is. */
async function withServer(server: Server, action: (port: number) => Promise<void>): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await action((server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}

async function listMappings(endpoint: string): Promise<{ code: number | null; stderr: string }> {
  using headrace = new HeadraceProcess(['mappings', 'list', '--endpoint-url', endpoint]);
  const { code, stderr } = await headrace.ended;
  return { code, stderr };
}

async function isUnreachable(endpoint: string, reason: RegExp): Promise<void> {
  const { code, stderr } = await listMappings(endpoint);
  assert.match(stderr, /ENGINE_UNREACHABLE/);
  assert.match(stderr, reason);
  assert.match(stderr, /headrace start/);
  assert.equal(code, 1);
}

describe('a command that looks for an engine where there is none says so, and how to get one', () => {
  test('a port that fetch never connects to', () => isUnreachable('http://127.0.0.1:1', /bad port/));

  test('a server that closes each connection', () => {
    const server = createServer((socket) => void socket.destroy());
    return withServer(server, (port) => isUnreachable(`http://127.0.0.1:${port}`, /ECONNRESET|UND_ERR_SOCKET/));
  });

  test('a server that does not speak HTTP', () => {
    const server = createServer((socket) => void socket.end('220 mail.example.com ESMTP\r\n'));
    return withServer(server, (port) => isUnreachable(`http://127.0.0.1:${port}`, /does not match the HTTP/));
  });

  test('a server that does not speak TLS', () => {
    const server = createHttpServer((_, response) => void response.end('{}'));
    return withServer(server, (port) => isUnreachable(`https://127.0.0.1:${port}`, /SSL|EPROTO/));
  });

  for (const status of [200, 404]) {
    test(`another web server, which answers ${status} with a page`, () => {
      const server = createHttpServer((_, response) => {
        response.writeHead(status, { 'content-type': 'text/html' }).end('<html>\n<h1>Welcome</h1>\n</html>');
      });
      return withServer(server, (port) =>
        isUnreachable(`http://127.0.0.1:${port}`, new RegExp(`is no engine \\(${status}: <html> <h1>Welcome</h1>`)),
      );
    });
  }

  test('an endpoint that is no URL is a wrong call', async () => {
    for (const endpoint of ['127.0.0.1:9400', 'http://127.0.0.1:99999', 'ftp://127.0.0.1']) {
      const { code, stderr } = await listMappings(endpoint);
      assert.match(stderr, /--endpoint-url must be an http or https URL with a port of 1 to 65535/);
      assert.equal(code, 2);
    }
  });
});
