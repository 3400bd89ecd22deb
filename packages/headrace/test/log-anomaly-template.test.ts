import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { needs, pythonEnvironment, repositoryRoot, runCommand } from '@headrace/testing';

const folder = join(repositoryRoot, 'examples', 'log-anomaly');

describe("the example's template", { skip: needs('python') }, () => {
  test('passes the transformation of SAM and the checks of cfn-lint, as it must to deploy to AWS', async () => {
    const { python } = await pythonEnvironment(['cfn-lint==1.41.0']);
    const { stdout } = await runCommand(
      python,
      ['-c', 'from cfnlint.runner import main; main()', '--non-zero-exit-code', 'informational', 'template.yaml'],
      {
        cwd: folder,
      },
    );
    assert.equal(stdout, '');
  });
});
