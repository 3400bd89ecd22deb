import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeAtomically } from './files.ts';

// What a training job reads and writes: s3://bucket/prefix by the AWS SDK (AWS_ENDPOINT_URL_S3 points it elsewhere), or
// file:///folder on this machine.

/** Bytes of all training data together, at most. */
const MOST_BYTES = 1024 * 1024 * 1024;

/** Every object below a prefix, in the order of their names. Throws Error with what cannot be read. */
export async function* readObjects(uri: string): AsyncGenerator<{ name: string; bytes: Buffer }> {
  let total = 0;
  const counted = (name: string, bytes: Buffer): { name: string; bytes: Buffer } => {
    total += bytes.length;
    if (total > MOST_BYTES) throw new Error(`the data at ${uri} has more than ${MOST_BYTES} bytes`);
    return { name, bytes };
  };
  const { scheme, bucket, key } = split(uri);
  if (scheme === 'file') {
    for (const path of await filesBelow(key)) yield counted(path, await readFile(path));
    return;
  }
  const { GetObjectCommand, paginateListObjectsV2, S3Client } = await import('@aws-sdk/client-s3');
  const client = new S3Client({ forcePathStyle: process.env['AWS_ENDPOINT_URL_S3'] !== undefined });
  try {
    for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: key })) {
      for (const { Key: name } of page.Contents ?? []) {
        if (name === undefined || name.endsWith('/')) continue;
        const { Body: body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: name }));
        yield counted(`s3://${bucket}/${name}`, Buffer.from((await body?.transformToByteArray()) ?? []));
      }
    }
  } finally {
    client.destroy();
  }
}

/** One object. */
export async function readObject(uri: string): Promise<Buffer> {
  const { scheme, bucket, key } = split(uri);
  if (scheme === 'file') return await readFile(key);
  const { GetObjectCommand, S3Client } = await import('@aws-sdk/client-s3');
  const client = new S3Client({ forcePathStyle: process.env['AWS_ENDPOINT_URL_S3'] !== undefined });
  try {
    const { Body: body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    return Buffer.from((await body?.transformToByteArray()) ?? []);
  } finally {
    client.destroy();
  }
}

export async function writeObject(uri: string, bytes: Buffer): Promise<void> {
  const { scheme, bucket, key } = split(uri);
  if (scheme === 'file') {
    await writeAtomically(key, bytes);
    return;
  }
  const { PutObjectCommand, S3Client } = await import('@aws-sdk/client-s3');
  const client = new S3Client({ forcePathStyle: process.env['AWS_ENDPOINT_URL_S3'] !== undefined });
  try {
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
  } finally {
    client.destroy();
  }
}

/** Whether this is a place that can be read: `s3://bucket/key` or `file:///path`. */
export function isStorageUri(uri: unknown): uri is string {
  return typeof uri === 'string' && /^(s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/.*)?|file:\/\/\/.+)$/.test(uri);
}

function split(uri: string): { scheme: 'file' | 's3'; bucket: string; key: string } {
  if (uri.startsWith('file://')) return { scheme: 'file', bucket: '', key: fileURLToPath(uri) };
  const rest = uri.slice('s3://'.length);
  const slash = rest.indexOf('/');
  return slash < 0
    ? { scheme: 's3', bucket: rest, key: '' }
    : { scheme: 's3', bucket: rest.slice(0, slash), key: rest.slice(slash + 1) };
}

async function filesBelow(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const entries = await readdir(path, { withFileTypes: true });
  const names = entries.filter((entry) => !entry.name.startsWith('.')).sort((a, b) => (a.name < b.name ? -1 : 1));
  const found: string[] = [];
  for (const entry of names) {
    if (entry.isDirectory()) found.push(...(await filesBelow(join(path, entry.name))));
    else if (entry.isFile()) found.push(join(path, entry.name));
  }
  return found;
}
