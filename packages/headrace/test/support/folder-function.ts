import { CreateFunctionCommand, LambdaClient, waitUntilFunctionActiveV2 } from '@aws-sdk/client-lambda';
import type { Engine } from '../../src/engine.ts';
import { localBucket } from '../../src/lambda-api/local-code.ts';

/**
 * Makes a function of `index.mjs` in a folder, used in place, by the call that any client makes. The engine must have been
 * started with the folder among its `codeFolders`. Resolves when the function can be invoked.
 */
export async function createFolderFunction(
  engine: Engine,
  name: string,
  folder: string,
  { timeoutSeconds = 3, memorySizeMegabytes = 128 } = {},
): Promise<void> {
  const client = new LambdaClient({
    endpoint: engine.endpoint,
    region: engine.region,
    credentials: engine.clientCredentials(),
  });
  try {
    await client.send(
      new CreateFunctionCommand({
        FunctionName: name,
        Role: `arn:aws:iam::${engine.accountId}:role/lambda`,
        Code: { S3Bucket: localBucket, S3Key: folder },
        Runtime: 'nodejs24.x',
        Handler: 'index.handler',
        Timeout: timeoutSeconds,
        MemorySize: memorySizeMegabytes,
        Architectures: [process.arch === 'arm64' ? 'arm64' : 'x86_64'],
      }),
    );
    await waitUntilFunctionActiveV2({ client, maxWaitTime: 10 }, { FunctionName: name });
  } finally {
    client.destroy();
  }
}
