import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom, temporaryFolder } from '@headrace/testing';
import { call, startApi } from '../api-world.ts';

interface Holds {
  readonly exists: boolean;
  readonly timeout?: number;
  readonly alias?: string;
  readonly mapped?: boolean;
  readonly uuid?: string;
}

/** What a writer was told, by function. */
interface Ledger {
  readonly functions: Map<string, Holds>;
  readonly uuids: Set<string>;
  /** What the request in flight is about: it may have been done or not. */
  pending: string | undefined;
  answers: number;
}

/**
 * Kills a process that deploys through the API, at a random moment each round, and looks at what a new one finds: what was
 * answered holds, and no function, version, alias or mapping is half made.
 */
export async function killDeployers(options: {
  readonly kills: number;
  readonly seed: number;
}): Promise<{ readonly kills: number; readonly answers: number }> {
  const dataDirectory = temporaryFolder('api-kills');
  const random = new SeededRandom(options.seed);
  let answers = 0;
  try {
    for (let round = 0; round < options.kills; round += 1) {
      const ledger: Ledger = { functions: new Map(), uuids: new Set(), pending: undefined, answers: 0 };
      await deployUntilKilled(dataDirectory, round, random.integer(1, 25), random.integer(0, 4), ledger);
      assert.ok(ledger.answers > 0, `the writer of round ${round} ended by itself`);
      answers += ledger.answers;
      await check(dataDirectory, ledger);
    }
  } finally {
    rmSync(dataDirectory, { recursive: true, force: true });
  }
  return { kills: options.kills, answers };
}

async function deployUntilKilled(
  dataDirectory: string,
  round: number,
  wanted: number,
  delayMilliseconds: number,
  ledger: Ledger,
): Promise<void> {
  const child = fork(join(import.meta.dirname, '..', 'api-writer.ts'), [dataDirectory, String(round)], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await new Promise<void>((resolve) => {
    child.on('message', ({ about, holds }: { about: string; holds?: Holds }) => {
      ledger.pending = holds === undefined ? about : undefined;
      if (holds === undefined) return;
      ledger.functions.set(about, holds);
      if (holds.uuid !== undefined) ledger.uuids.add(holds.uuid);
      ledger.answers += 1;
      if (ledger.answers === wanted) setTimeout(() => child.kill('SIGKILL'), delayMilliseconds);
    });
    child.once('exit', () => resolve());
  });
}

const functions = '/2015-03-31/functions';

async function check(dataDirectory: string, ledger: Ledger): Promise<void> {
  await using world = await startApi({ dataDirectory });
  const get = (path: string): ReturnType<typeof call> => call(world.endpoint, 'GET', path);
  for (const [name, { exists, timeout, alias }] of ledger.functions) {
    if (name === ledger.pending) continue;
    const found = await get(`${functions}/${name}`);
    assert.equal(found.status, exists ? 200 : 404, name);
    const { Timeout } = (found.body['Configuration'] ?? {}) as { Timeout?: number };
    if (timeout !== undefined) assert.equal(Timeout, timeout, name);
    if (alias !== undefined)
      assert.equal((await get(`${functions}/${name}/aliases/live`)).body['FunctionVersion'], alias);
  }
  for (const uuid of ledger.uuids) assert.equal((await get(`/2015-03-31/event-source-mappings/${uuid}`)).status, 200);
  const { Functions } = (await get(`${functions}?MaxItems=50`)).body as { Functions: { FunctionName: string }[] };
  for (const { FunctionName: name } of Functions) {
    const versions = (await get(`${functions}/${name}/versions`)).body['Versions'] as { Version: string }[];
    assert.equal(versions[0]?.Version, '$LATEST', name);
    for (const { Version } of versions) {
      const { Code, Configuration } = (await get(`${functions}/${name}?Qualifier=${encodeURIComponent(Version)}`))
        .body as { Code: { Location: string }; Configuration: { CodeSha256: string; State: string } };
      const code = Buffer.from(await (await fetch(Code.Location)).arrayBuffer());
      assert.equal(createHash('sha256').update(code).digest('base64'), Configuration.CodeSha256, `${name}:${Version}`);
      assert.equal(Configuration.State, 'Active');
    }
    const aliases = (await get(`${functions}/${name}/aliases`)).body['Aliases'] as { FunctionVersion: string }[];
    for (const { FunctionVersion } of aliases) assert.ok(versions.some(({ Version }) => Version === FunctionVersion));
  }
}
