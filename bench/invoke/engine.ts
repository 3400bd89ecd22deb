// An engine in a process of its own with one function of the folder named on the command line; prints its endpoint.
import { startEngine } from '../../packages/headrace/src/engine.ts';

const engine = await startEngine({ port: 0, dataDirectory: ':memory:', region: 'eu-central-1' });
engine.registerFunction({
  functionName: 'rest',
  code: { kind: 'folder', path: process.argv[2]! },
  runtime: 'nodejs24.x',
  handler: 'index.handler',
  memorySizeMegabytes: 512,
});
process.stdout.write(`${engine.endpoint}\n`);
process.once('SIGTERM', () => void engine.stop().then(() => process.exit(0)));
