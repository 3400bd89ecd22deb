// Deploys, changes and removes functions and mappings through the API until it is killed, and says before each request what
// it is about and after each answer what holds from then on (support/api-kills.ts).
import { call, role, startApi, zipOf } from './api-world.ts';

const [dataDirectory, seed] = process.argv.slice(2) as [string, string];
const world = await startApi({ dataDirectory });
const say = (message: object): Promise<void> =>
  new Promise((resolve) => {
    process.send!(message, undefined, undefined, () => resolve());
  });
const functions = '/2015-03-31/functions';
const mappings = '/2015-03-31/event-source-mappings';

/** Sends one request; what holds once it is answered. */
async function step(
  name: string,
  method: string,
  path: string,
  body: object | undefined,
  holds: object,
): Promise<void> {
  await say({ about: name });
  const answer = await call(world.endpoint, method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  await say({ about: name, holds: { uuid: answer.body['UUID'], ...holds } });
}

for (let round = 0; ; round += 1) {
  const name = `fn-${seed}-${round % 3}`;
  const path = `${functions}/${name}`;
  const found = await call(world.endpoint, 'GET', path);
  if (found.status === 200) {
    await step(name, 'DELETE', path, undefined, { exists: false });
    continue;
  }
  const ZipFile = (await zipOf({ 'index.mjs': `export const handler = ${seed} + ${round};` })).toString('base64');
  const settings = { Role: role, Runtime: 'nodejs22.x', Handler: 'index.handler', Code: { ZipFile } };
  await step(name, 'POST', functions, { FunctionName: name, ...settings, Publish: true }, { exists: true, timeout: 3 });
  await call(world.endpoint, 'GET', path);
  await step(name, 'PUT', `${path}/configuration`, { Timeout: 7 }, { exists: true, timeout: 7 });
  await call(world.endpoint, 'GET', path);
  await step(name, 'POST', `${path}/versions`, {}, { exists: true, timeout: 7 });
  await step(name, 'POST', `${path}/aliases`, { Name: 'live', FunctionVersion: '2' }, { exists: true, alias: '2' });
  const SelfManagedEventSource = { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: ['127.0.0.1:9092'] } };
  const source = { SelfManagedEventSource, Topics: [`topic-${seed}-${round}`] };
  await step(name, 'POST', mappings, { FunctionName: name, ...source }, { exists: true, mapped: true });
}
