import { randomUUID } from 'node:crypto';
import type { Collection } from './collection.ts';

/** Kept as the one document of its kind. */
export interface DirectoryIdentity {
  readonly uuid: string;
  /** The lock that it was made under. */
  readonly place: string;
}

/**
 * The UUID of a data directory: the same at every start, another one where the directory was copied to or restored from
 * a backup. Two engines with one identity would both be the same member of a consumer group and read the same
 * partitions; the lock keeps them apart in one place, and the place is part of what is kept.
 */
export function directoryIdentity(documents: Collection<DirectoryIdentity>, place: string): string {
  const known = documents.get('identity');
  if (known?.place === place) return known.uuid;
  const uuid = randomUUID();
  documents.put('identity', { uuid, place });
  return uuid;
}
