import type { ListVersionsByFunctionRequest, PublishVersionRequest } from '@aws-sdk/client-lambda';
import { codeSha256, configuration, listedConfiguration } from './configuration.ts';
import { type Context, findFunction, operation } from './context.ts';
import { type VersionDocument, versionId } from './documents.ts';
import { invalidParameter } from './errors.ts';
import { page } from './pagination.ts';
import { checkUpdatable, freshRevision, versionsOf } from './revisions.ts';

export const publishVersion = operation<PublishVersionRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { document } = findFunction(context, input.FunctionName!);
    const latest = checkUpdatable(context, document.name, input.RevisionId);
    const digest = codeSha256(latest);
    // Empty means no wish: clients send it for an unset option.
    if (input.CodeSha256 && input.CodeSha256 !== digest) {
      throw invalidParameter(
        `CodeSHA256 (${input.CodeSha256}) is different from current CodeSHA256 in $LATEST (${digest}). Please try again with the CodeSHA256 in $LATEST.`,
      );
    }
    const version = publish(context, document.name, input);
    return configuration(context, version, context.now(), { qualifier: version.version });
  }),
);

/** Publishes `$LATEST`; the newest version stands for it when nothing has changed since. */
export function publish(
  context: Context,
  name: string,
  { Description }: { Description?: string | undefined },
): VersionDocument {
  const { functions, versions } = context.documents;
  const document = functions.get(name)!;
  const latest = versions.get(versionId(name, '$LATEST'))!;
  const newest = versionsOf(context, name).at(-1)!;
  if (newest.version !== '$LATEST' && newest.runRevision === latest.runRevision) return newest;
  const version = String(document.nextVersion);
  const { lastModified, settlesAt, change, revisionId, settledRevisionId } = freshRevision(context, 'create');
  const isChanging = context.now() < latest.settlesAt;
  const published: VersionDocument = {
    ...latest,
    version,
    Description: Description ?? latest.Description,
    lastModified,
    revisionId,
    settledRevisionId,
    change,
    settlesAt: isChanging ? settlesAt : context.now(),
  };
  versions.put(versionId(name, version), published);
  functions.put(name, { ...document, nextVersion: document.nextVersion + 1 });
  // The revision of `$LATEST` moves as well when it is published.
  const moved = freshRevision(context, latest.change);
  versions.put(versionId(name, '$LATEST'), {
    ...latest,
    revisionId: moved.revisionId,
    settledRevisionId: moved.settledRevisionId,
  });
  return published;
}

const versionsPerPage = 50;

export const listVersionsByFunction = operation<ListVersionsByFunctionRequest>(({ context }, input) => {
  const { document } = findFunction(context, input.FunctionName!);
  const { items, nextMarker } = page(versionsOf(context, document.name), {
    keyOf: ({ version }) => (version === '$LATEST' ? '' : version.padStart(12, '0')),
    limit: versionsPerPage,
    marker: input.Marker,
    maxItems: input.MaxItems,
  });
  const now = context.now();
  return {
    Versions: items.map((version) => listedConfiguration(context, version, now, { qualifier: version.version })),
    ...(nextMarker === undefined ? {} : { NextMarker: nextMarker }),
  };
});
