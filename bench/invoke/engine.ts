// An engine in a process of its own with one function of the folder named on the command line; prints its endpoint.
import { startEngine } from '../../packages/headrace/src/engine.ts';
import { createFolderFunction } from '../../packages/headrace/test/support/folder-function.ts';

const folder = process.argv[2]!;
const engine = await startEngine({
  port: 0,
  dataDirectory: ':memory:',
  codeFolders: [folder],
  region: 'eu-central-1',
});
await createFolderFunction(engine, 'rest', folder, { memorySizeMegabytes: 512 });
process.stdout.write(`${engine.endpoint}\n`);
process.once('SIGTERM', () => void engine.stop().then(() => process.exit(0)));
