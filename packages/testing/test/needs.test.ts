import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { needs, needsData } from '../src/index.ts';

const script = `import { needs } from ${JSON.stringify(join(import.meta.dirname, '..', 'src', 'needs.ts'))};
console.log(JSON.stringify(needs('java', 'python')));`;
const probe = (env: NodeJS.ProcessEnv) =>
  spawnSync(process.execPath, ['--input-type=module', '-e', script], { env, encoding: 'utf8' });

test('what the machine lacks is a reason to skip for a user', () => {
  const { stdout, status } = probe({ PATH: '/nowhere' });
  assert.equal(status, 0);
  assert.match(JSON.parse(stdout), /^needs Java 17 or newer .* and Python 3\.9 or newer/);
});

test('what the machine lacks is a failure under CI', () => {
  const { stderr, status } = probe({ PATH: '/nowhere', CI: 'true' });
  assert.notEqual(status, 0);
  assert.match(stderr, /needs Java 17.*with CI=true this is a failure/);
});

test('nothing is skipped where nothing is missing', () => {
  assert.equal(needs(), false);
  assert.equal(needsData(), false);
  assert.match(String(needsData('no/such/file')), /no\/such\/file/);
});
