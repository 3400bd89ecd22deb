import { createWriteStream } from 'node:fs';
import { chmod, lstat, mkdir, rm, symlink } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import * as yauzl from 'yauzl';
import { HeadraceError } from '../errors.ts';

/** Code and layers unpacked, bytes (Lambda: 250 MB). */
export const unpackedLimit = 262_144_000;
/** More files than any real package has, few enough not to hurt. */
const entryLimit = 200_000;
/** Longest target of a symbolic link, and longest name: no system takes longer paths. */
const linkLimit = 4_096;
const nameLimit = 4_096;

const typeMask = 0o170_000;
const regularFile = 0o100_000;
const folderType = 0o040_000;
const linkType = 0o120_000;

const refused = (file: string, what: string): HeadraceError =>
  new HeadraceError('FUNCTION_CODE', `the code package ${posix.basename(file)}: ${what}`);

/**
 * Unpacks a zip file into `folder`, over what is there (layers merge so). The package is hostile until proven otherwise:
 * names stay below the folder, links point below it and nothing is written through one, sizes are what is counted on the
 * way out and not what the archive says, and only files, folders and links are made.
 *
 * @returns bytes unpacked
 */
export async function unpack(file: string, folder: string, budget = unpackedLimit): Promise<number> {
  let zip: yauzl.ZipFile;
  try {
    zip = await yauzl.openPromise(file, { lazyEntries: true, autoClose: false });
  } catch (error) {
    throw refused(file, `not a zip file (${error instanceof Error ? error.message : error})`);
  }
  try {
    if (zip.entryCount > entryLimit) throw refused(file, `${zip.entryCount} entries; at most ${entryLimit}`);
    const links: { path: string; name: string; target: string }[] = [];
    const linkNames = new Set<string>();
    const folders = new Set<string>();
    let unpacked = 0;
    for await (const entry of zip.eachEntry()) {
      const name = entry.fileName;
      const path = join(folder, name);
      if (name.length > nameLimit) throw refused(file, `the name ${name.slice(0, 80)}… is too long`);
      if (name.includes('\0')) throw refused(file, `the name ${JSON.stringify(name)} holds a NUL`);
      // Written on Unix only when the upper byte of "made by" says so; else there are no modes.
      const madeBy = entry.versionMadeBy >> 8;
      const mode = madeBy === 3 || madeBy === 19 ? entry.externalFileAttributes >>> 16 : 0;
      const type = mode & typeMask;
      if (name.endsWith('/')) {
        if (type !== 0 && type !== folderType) throw refused(file, `${name} is neither file nor folder`);
        await makeFolder(file, folder, posix.join(name, '.'), folders);
        continue;
      }
      if (type !== 0 && type !== regularFile && type !== linkType) {
        throw refused(file, `${name} is a device, pipe or socket`);
      }
      unpacked += entry.uncompressedSize;
      if (unpacked > budget) throw refused(file, `unpacked it is over ${budget} bytes (at ${name})`);
      if (entry.isEncrypted()) throw refused(file, `${name} is encrypted`);
      await makeFolder(file, folder, posix.dirname(name), folders);
      if (type === linkType) {
        if (entry.uncompressedSize > linkLimit) throw refused(file, `the link ${name} is too long`);
        const target = await readLink(zip, entry);
        checkLink(file, name, target);
        links.push({ path, name, target });
        linkNames.add(name);
        continue;
      }
      await rm(path, { force: true });
      // yauzl ends the stream with an error when the data is longer or shorter than the archive says.
      const stream = await zip.openReadStreamPromise(entry);
      try {
        await pipeline(stream, createWriteStream(path, { flags: 'wx', mode: 0o644 }));
      } catch (error) {
        throw refused(file, `${name} cannot be unpacked (${error instanceof Error ? error.message : error})`);
      }
      const permissions = mode & 0o777;
      if (permissions !== 0 && permissions !== 0o644) await chmod(path, permissions | 0o600);
    }
    // Last, so that nothing of this archive can be written through one.
    for (const { path, name, target } of links) {
      for (let parent = posix.dirname(name); parent !== '.'; parent = posix.dirname(parent)) {
        if (linkNames.has(parent)) throw refused(file, `${name} lies below the link ${parent}`);
      }
      const there = await lstat(path).catch(() => undefined);
      if (there?.isDirectory() === true) throw refused(file, `${name} is both folder and link`);
      await rm(path, { force: true });
      await symlink(target, path);
    }
    return unpacked;
  } catch (error) {
    if (HeadraceError.is(error)) throw error;
    throw refused(file, error instanceof Error ? error.message : String(error));
  } finally {
    zip.close();
  }
}

/** Makes the folders of a name, refusing to go through a link that an earlier layer made. */
async function makeFolder(file: string, root: string, name: string, known: Set<string>): Promise<void> {
  if (name === '.' || known.has(name)) return;
  await makeFolder(file, root, posix.dirname(name), known);
  const path = join(root, name);
  const there = await lstat(path).catch(() => undefined);
  if (there === undefined) await mkdir(path, { mode: 0o755 });
  else if (there.isSymbolicLink()) throw refused(file, `${name} is a link and a folder`);
  else if (!there.isDirectory()) throw refused(file, `${name} is both file and folder`);
  known.add(name);
}

async function readLink(zip: yauzl.ZipFile, entry: yauzl.Entry): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of await zip.openReadStreamPromise(entry)) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}

/**
 * A link may climb only at its beginning: its folder is a real one, so those steps are what they seem. A `..` further on
 * could follow another link and step out of the folder from there.
 */
function checkLink(file: string, name: string, target: string): void {
  const steps = target.split('/').filter((step) => step !== '' && step !== '.');
  const climb = steps.findIndex((step) => step !== '..');
  const ups = climb < 0 ? steps.length : climb;
  const depth = name.split('/').length - 1;
  if (
    target === '' ||
    target.includes('\0') ||
    posix.isAbsolute(target) ||
    ups > depth ||
    steps.indexOf('..', ups) >= 0
  ) {
    throw refused(file, `the link ${name} points outside of the package (${JSON.stringify(target)})`);
  }
}
