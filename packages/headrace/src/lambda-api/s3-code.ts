import { GetObjectCommand, S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { maximumUnzippedBytes, unzippedTooLarge } from './code-package.ts';
import type { Context } from './context.ts';
import { invalidParameter, LambdaError } from './errors.ts';

/**
 * A code package from S3, by the credentials and endpoint of this process (`AWS_ENDPOINT_URL_S3` for a local one).
 * A refusal is the caller's error, in the words of CreateFunction.
 */
export async function fetchFromS3(
  { region }: Context,
  bucket: string,
  key: string,
  version: string | undefined,
): Promise<Buffer> {
  const isLocal = process.env['AWS_ENDPOINT_URL_S3'] !== undefined;
  const client = new S3Client({ region, forcePathStyle: isLocal });
  try {
    const command = new GetObjectCommand({ Bucket: bucket, Key: key, ...(version ? { VersionId: version } : {}) });
    const { Body, ContentLength } = await client.send(command);
    // Nothing gets smaller by unzipping: not read at all.
    if ((ContentLength ?? 0) > maximumUnzippedBytes) throw unzippedTooLarge();
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  } catch (error) {
    if (error instanceof LambdaError) throw error;
    const code = error instanceof S3ServiceException ? error.name : 'ServiceUnavailable';
    const message = error instanceof Error ? error.message : String(error);
    throw invalidParameter(`Error occurred while GetObject. S3 Error Code: ${code}. S3 Error Message: ${message}`);
  } finally {
    client.destroy();
  }
}
