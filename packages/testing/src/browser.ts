import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { text } from 'node:stream/consumers';
import { chromium } from './needs.ts';
import { ServerProcess, temporaryFolder } from './server-process.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
};

/**
 * Loads a module in a headless Chromium and answers what its default export, called with no arguments, resolves to, as
 * JSON says it. The files of `folder` are served at the root; `module` is the path of one of them, like `/a/check.js`.
 * Needs `needs('chromium')`. Rejects with the browser's error, or when a minute is over.
 */
export async function runInBrowser(folder: string, module: string): Promise<unknown> {
  const page = `<!doctype html><title>test</title><script type="module">
    const answer = (body) => fetch('/answer', { method: 'POST', body: JSON.stringify(body) });
    try {
      const { default: run } = await import(${JSON.stringify(module)});
      await answer({ value: await run() });
    } catch (error) {
      await answer({ error: String(error && error.stack || error) });
    }
  </script>`;
  const { promise, resolve } = Promise.withResolvers<string>();
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname));
    if (request.method === 'POST' && path === '/answer') {
      const body = await text(request);
      response.end(() => resolve(body));
      return;
    }
    const content = path === '/' ? page : await readFile(join(folder, path)).catch(() => undefined);
    response.writeHead(content === undefined ? 404 : 200, { 'content-type': TYPES[extname(path)] ?? 'text/html' });
    response.end(content);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const profile = temporaryFolder('browser');
  const browser = new ServerProcess(
    chromium() ?? 'chromium',
    [
      '--headless',
      '--disable-gpu',
      // A container's root may not make the namespaces of the sandbox; the page is the test's own.
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      `--user-data-dir=${profile}`,
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    ],
    { logFile: join(profile, 'browser.log'), folder: profile },
  );
  try {
    let answer: string | undefined;
    void promise.then((body) => {
      answer = body;
    });
    await browser.ready(() => answer !== undefined, 60_000);
    const { value, error } = JSON.parse(answer!) as { value?: unknown; error?: string };
    if (error !== undefined) throw new Error(`in the browser: ${error}`);
    return value;
  } finally {
    killGroup(browser.processId);
    await browser.signal('SIGKILL');
    server.closeAllConnections();
    server.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

/** Debian's command is a script that waits for the browser, so the whole process group has to go. */
function killGroup(processId: number): void {
  try {
    process.kill(-processId, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
