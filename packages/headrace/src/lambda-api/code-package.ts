import { fromBuffer } from 'yauzl';
import { invalidParameter, LambdaError } from './errors.ts';

const maximumZippedBytes = 52_428_800;
export const maximumUnzippedBytes = 262_144_000;

const unreadable = 'Could not unzip uploaded file. Please check your file, then try to upload again.';

/**
 * Refuses what is no zip file or too big by what its directory says of its entries unzipped. A package that came with
 * the request is limited zipped as well; one from S3 is not.
 */
export async function checkPackage(bytes: Buffer, source: 'request' | 's3'): Promise<void> {
  if (source === 'request' && bytes.length > maximumZippedBytes) {
    const message = `Zipped size must be smaller than ${maximumZippedBytes} bytes`;
    throw new LambdaError('RequestEntityTooLargeException', message);
  }
  const unzipped = await unzippedBytes(bytes).catch(() => {
    throw invalidParameter(unreadable);
  });
  if (unzipped > maximumUnzippedBytes) {
    throw unzippedTooLarge();
  }
}

export const unzippedTooLarge = (): LambdaError =>
  invalidParameter(`Unzipped size must be smaller than ${maximumUnzippedBytes} bytes`);

function unzippedBytes(bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    fromBuffer(bytes, { lazyEntries: true }, (error, zip) => {
      if (error) return reject(error);
      if (zip.entryCount === 0) return reject(new Error('no entries'));
      let total = 0;
      zip.on('error', reject);
      zip.on('end', () => resolve(total));
      zip.on('entry', (entry) => {
        total += entry.uncompressedSize;
        if (total > maximumUnzippedBytes) resolve(total);
        else zip.readEntry();
      });
      zip.readEntry();
    });
  });
}
