import { realpathSync, statSync } from 'node:fs';
import { isAbsolute, sep } from 'node:path';
import type { Context } from './context.ts';
import type { StoredCode } from './documents.ts';
import { invalidParameter } from './errors.ts';

/** The `S3Bucket` that stands for this machine's own file system; `S3Key` is then the path of a folder. */
export const localBucket = 'hot-reload';

/**
 * Code that is used in place, in the form that every client can send and other local Lambdas take: bucket `hot-reload`,
 * key an absolute path. Only folders below those that the operator named are taken (`codeFolders`, none by default), links
 * followed, since with a sandbox a caller could otherwise read any folder of the host by making a function of it. An
 * UpdateFunctionCode with the same folder starts new environments: that is how an edit is taken.
 */
export function localCode(context: Context, key: string, version: string | undefined): StoredCode {
  const { codeFolders } = context;
  if (codeFolders.length === 0) {
    throw invalidParameter(
      `S3Bucket ${localBucket} stands for a folder of this machine, and none is allowed here: start the engine with --code-folder FOLDER.`,
    );
  }
  if (version !== undefined) throw invalidParameter('S3ObjectVersion: a folder of this machine has no versions.');
  if (!isAbsolute(key)) throw invalidParameter(`S3Key: ${key} must be the absolute path of a folder.`);
  const path = folderAt(key);
  if (path === undefined) throw invalidParameter(`S3Key: there is no folder at ${key}.`);
  if (!codeFolders.some((root) => path === root || path.startsWith(root.endsWith(sep) ? root : root + sep))) {
    throw invalidParameter(
      `S3Key: ${key} lies outside the folders that code may be used from: ${codeFolders.join(', ')} (--code-folder).`,
    );
  }
  return { kind: 'folder', path };
}

/** Links are followed, so that what is compared with the allowed folders is what is read. */
function folderAt(path: string): string | undefined {
  try {
    const real = realpathSync(path);
    return statSync(real).isDirectory() ? real : undefined;
  } catch {
    // Missing, or not to be read: for the caller there is no folder.
    return undefined;
  }
}
