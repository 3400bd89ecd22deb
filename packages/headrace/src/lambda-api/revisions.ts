import { randomUUID } from 'node:crypto';
import { isSettling, revisionOf } from './configuration.ts';
import { type Context, functionNotFound, preconditionFailed } from './context.ts';
import { type VersionDocument, versionId } from './documents.ts';
import { conflict } from './errors.ts';
import { functionArn } from './names.ts';

/** The members that say that a version was made or changed just now. */
export function freshRevision(
  context: Context,
  change: VersionDocument['change'],
): Pick<VersionDocument, 'lastModified' | 'runRevision' | 'revisionId' | 'settledRevisionId' | 'change' | 'settlesAt'> {
  const now = context.now();
  return {
    lastModified: now,
    runRevision: randomUUID(),
    revisionId: randomUUID(),
    settledRevisionId: randomUUID(),
    change,
    settlesAt: now + context.settleMilliseconds,
  };
}

/** `$LATEST` when it may be changed now: 409 while a change settles, 412 for another revision. */
export function checkUpdatable(context: Context, name: string, revisionId: string | undefined): VersionDocument {
  const latest = context.documents.versions.get(versionId(name, '$LATEST'));
  if (latest === undefined) throw functionNotFound(context, name);
  const now = context.now();
  if (isSettling(latest, now)) {
    if (latest.change === 'create') {
      throw conflict(
        'The operation cannot be performed at this time. The function is currently in the following state: Pending',
      );
    }
    throw conflict(
      `The operation cannot be performed at this time. An update is in progress for resource: ${functionArn(context, name)}`,
    );
  }
  if (revisionId !== undefined && revisionId !== revisionOf(latest, now)) throw preconditionFailed();
  return latest;
}

/** `$LATEST` first, then by number. */
export function versionsOf(context: Context, name: string): VersionDocument[] {
  const { functions, versions } = context.documents;
  const document = functions.get(name);
  if (document === undefined) return [];
  const found: VersionDocument[] = [];
  const latest = versions.get(versionId(name, '$LATEST'));
  if (latest !== undefined) found.push(latest);
  for (let number = 1; number < document.nextVersion; number += 1) {
    const version = versions.get(versionId(name, String(number)));
    if (version !== undefined) found.push(version);
  }
  return found;
}
