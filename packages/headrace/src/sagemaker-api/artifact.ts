import { gunzipSync, gzipSync } from 'node:zlib';

// A model artifact is a model.tar.gz as SageMaker's are, with one file: the forest's snapshot.

const FILE = 'model_algo-1';
const BLOCK = 512;
const MOST_BYTES = 2 ** 31;

export function packArtifact(snapshot: Uint8Array): Buffer {
  const header = Buffer.alloc(BLOCK);
  header.write(FILE, 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${snapshot.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((a, b) => a + b, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padding = Buffer.alloc((BLOCK - (snapshot.length % BLOCK)) % BLOCK);
  return gzipSync(Buffer.concat([header, snapshot, padding, Buffer.alloc(2 * BLOCK)]));
}

/** Throws Error with what is wrong. */
export function unpackArtifact(bytes: Buffer): Buffer {
  let tar: Buffer;
  try {
    tar = gunzipSync(bytes, { maxOutputLength: MOST_BYTES });
  } catch {
    throw new Error('it is not a gzipped tar archive');
  }
  for (let at = 0; at + BLOCK <= tar.length; ) {
    const name = tar.toString('latin1', at, at + 100).replace(/\0.*$/s, '');
    if (name === '') break;
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 135), 8);
    if (!(size >= 0 && at + BLOCK + size <= tar.length)) break;
    if (name === FILE) return tar.subarray(at + BLOCK, at + BLOCK + size);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw new Error(`it holds no ${FILE}: only models that were trained here can be served`);
}
