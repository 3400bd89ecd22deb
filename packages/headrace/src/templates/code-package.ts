import { readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { ZipFile } from 'yazl';
import { templateError } from './document.ts';

/** Lambda's limit of an unpacked package (250 MB). */
const maximumBytes = 262_144_000;
/** What is never part of a function: version control, our own data, caches. */
const leftOut = new Set(['.git', '.headrace', '.aws-sam', '__pycache__', '.DS_Store']);
/** One date for all entries: the same folder gives the same bytes, so the same CodeSha256. */
const entryDate = new Date('2020-01-01T00:00:00Z');

/** The folder's content as a zip, entries sorted; refuses more than Lambda's 262,144,000 bytes. */
export async function zipFolder(folder: string): Promise<Buffer> {
  const files = await listFiles(folder);
  if (files.length === 0) throw templateError(`the code folder ${folder} is empty`);
  const zip = new ZipFile();
  let total = 0;
  for (const file of files) {
    const { size, mode } = await stat(file);
    total += size;
    if (total > maximumBytes)
      throw templateError(`the code folder ${folder} holds more than ${maximumBytes} bytes (Lambda's limit)`);
    zip.addFile(file, relative(folder, file).split(sep).join('/'), { mtime: entryDate, mode: mode | 0o444 });
  }
  zip.end();
  const chunks: Buffer[] = [];
  for await (const chunk of zip.outputStream) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks);
}

async function listFiles(folder: string): Promise<string[]> {
  let entries: import('node:fs').Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    throw templateError(`the code folder ${folder} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  const files: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (leftOut.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) files.push(...(await listFiles(path)));
    else if (entry.isFile()) files.push(path);
  }
  return files;
}
