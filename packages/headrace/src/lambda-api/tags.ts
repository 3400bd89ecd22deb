import { randomUUID } from 'node:crypto';
import type { ListTagsRequest, TagResourceRequest, UntagResourceRequest } from '@aws-sdk/client-lambda';
import { type Context, functionNotFound, operation } from './context.ts';
import { versionId } from './documents.ts';
import { invalidParameter, notFound } from './errors.ts';
import { functionReference } from './names.ts';

const maximumTags = 50;

export function checkTags(tags: Readonly<Record<string, string>> | undefined): void {
  if (tags !== undefined && Object.keys(tags).length > maximumTags) {
    throw invalidParameter('Number of tags exceeds resource tag limit.');
  }
}

type Tags = Readonly<Record<string, string>>;

/** Where a resource keeps its tags. Throws when there is no such resource. */
function tagHolder(context: Context, arn: string): { read(): Tags; write(tags: Tags): void } {
  const [, , , , , kind, id, qualifier] = arn.split(':') as string[];
  const { functions, versions, tags, codeSigning, layers } = context.documents;
  switch (kind) {
    case 'function': {
      if (qualifier !== undefined) {
        throw invalidParameter(
          'Tags on function aliases and versions are not supported. Please specify a function ARN.',
        );
      }
      const { name } = functionReference(context, arn);
      if (!functions.has(name)) throw functionNotFound(context, name);
      return {
        read: () => functions.get(name)!.tags,
        write(next) {
          functions.put(name, { ...functions.get(name)!, tags: next });
          const latest = versions.get(versionId(name, '$LATEST'))!;
          // A change of tags moves the revision, and nothing else.
          versions.put(versionId(name, '$LATEST'), {
            ...latest,
            revisionId: randomUUID(),
            settledRevisionId: randomUUID(),
          });
        },
      };
    }
    case 'event-source-mapping':
      if (context.mappings.get(id!) === undefined) throw notFound(`Event source mapping not found: ${arn}`);
      break;
    case 'capacity-provider':
      throw notFound(`Capacity provider not found: ${arn}`);
    case 'layer':
      if (![...layers.values()].some(({ name }) => name === id)) throw notFound(`Layer not found: ${arn}`);
      break;
    default:
      if (!codeSigning.has(arn)) throw notFound(`The Lambda code signing configuration ${arn} can not be found.`);
  }
  return {
    read: () => tags.get(arn) ?? {},
    write: (next) => (Object.keys(next).length === 0 ? tags.delete(arn) : tags.put(arn, next)),
  };
}

export const listTags = operation<ListTagsRequest>(({ context }, { Resource }) => ({
  Tags: tagHolder(context, Resource!).read(),
}));

export const tagResource = operation<TagResourceRequest>((call, { Resource, Tags }) =>
  call.transaction(() => {
    const holder = tagHolder(call.context, Resource!);
    if (Tags === undefined || Object.keys(Tags).length === 0) {
      throw invalidParameter('An error occurred and the request cannot be processed.');
    }
    const next = { ...holder.read(), ...Tags };
    checkTags(next);
    holder.write(next);
    return undefined;
  }),
);

export const untagResource = operation<UntagResourceRequest>((call, { Resource, TagKeys }) =>
  call.transaction(() => {
    const holder = tagHolder(call.context, Resource!);
    const next = Object.fromEntries(Object.entries(holder.read()).filter(([key]) => !TagKeys?.includes(key)));
    holder.write(next);
    return undefined;
  }),
);
