import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { Admin } from '@platformatic/kafka';
import { startDevelopmentBroker } from '../src/development-broker.ts';
import { HeadraceError } from '../src/errors.ts';

it('comes back on its port with its topics; a second process on the same folder is refused with the way out', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'headrace-broker-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const directory = join(folder, 'broker');
  const first = await startDevelopmentBroker({ directory, port: undefined });
  const servers = first.bootstrapServers;
  first.createTopic({ name: 'orders', partitions: 3 });
  await assert.rejects(startDevelopmentBroker({ directory, port: undefined }), (error) => {
    return (
      HeadraceError.is(error) &&
      error.code === 'DATA_DIRECTORY' &&
      error.message.includes(`--bootstrap-servers ${servers}`)
    );
  });
  await first.stop();

  const second = await startDevelopmentBroker({ directory, port: undefined });
  assert.equal(second.bootstrapServers, servers);
  const admin = new Admin({ clientId: 't', bootstrapBrokers: [servers] });
  assert.deepEqual(await admin.listTopics(), ['orders']);
  await admin.close();
  await second.stop();

  // Somebody else took the port meanwhile: the broker takes another one, unless this one was asked for.
  const port = Number(servers.split(':')[1]);
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
  const third = await startDevelopmentBroker({ directory, port: undefined });
  assert.notEqual(third.bootstrapServers, servers);
  await third.stop();
  await assert.rejects(
    startDevelopmentBroker({ directory, port }),
    (error) => HeadraceError.is(error) && error.code === 'PORT_IN_USE',
  );
  await new Promise((resolve) => other.close(resolve));
});
