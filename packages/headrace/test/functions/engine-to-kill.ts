// A function engine in a process of its own, to be killed: every function is invoked at once and none of them returns.
// Arguments: the data directory and the functions as JSON. Prints a line when all environments are there.
import { createFunctionEngine } from '../../src/functions/engine.ts';
import { accountId, functionVersion, region, type VersionChanges } from './support.ts';

const functions = JSON.parse(process.argv[3]!) as Record<string, VersionChanges>;
const engine = createFunctionEngine({
  resolve: (name) => {
    const version = functionVersion(name, { timeoutSeconds: 600, ...functions[name] });
    return { kind: 'found', version, invokedFunctionArn: version.functionArn };
  },
  dataDirectory: process.argv[2]!,
  region,
  accountId,
  baseEnvironment: () => ({}),
});
await engine.start();
for (const name of Object.keys(functions)) void engine.invoke(name, Buffer.from('{}'));
// Whoever asked for it ends it, by a signal or by going away.
process.once('SIGTERM', () => void engine.stop().then(() => process.exit(0)));
process.once('disconnect', () => process.exit(1));
