import { closeSync, fsyncSync, openSync } from 'node:fs';

/** Puts the names in a folder onto the disk: a file that was synced is gone after a power cut when its name was not. */
export function syncFolder(folder: string): void {
  // Windows keeps names and files together, and opens no folder.
  if (process.platform === 'win32') return;
  const file = openSync(folder, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
