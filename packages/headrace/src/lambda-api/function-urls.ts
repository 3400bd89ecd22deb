import { randomInt } from 'node:crypto';
import type {
  CreateFunctionUrlConfigRequest,
  DeleteFunctionUrlConfigRequest,
  GetFunctionUrlConfigRequest,
  ListFunctionUrlConfigsRequest,
  UpdateFunctionUrlConfigRequest,
} from '@aws-sdk/client-lambda';
import { type Context, findVersion, operation } from './context.ts';
import type { FunctionDocument, FunctionUrlDocument } from './documents.ts';
import { conflict, type LambdaError, notFound } from './errors.ts';
import { functionArn, functionReference } from './names.ts';
import { page } from './pagination.ts';

const functionMissing = (): LambdaError => notFound('Function does not exist');
const urlMissing = (): LambdaError => notFound('The resource you requested does not exist.');

export const createFunctionUrlConfig = operation<CreateFunctionUrlConfigRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { document, qualifier } = target(context, input);
    if (document.urls[qualifier ?? '$LATEST'] !== undefined) {
      throw conflict(
        `Failed to create function url config for [functionArn = ${functionArn(context, document.name, qualifier)}]. Error message:  FunctionUrlConfig exists for this Lambda function`,
      );
    }
    const time = new Date(context.now()).toISOString();
    const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
    const url: FunctionUrlDocument = {
      id: Array.from({ length: 32 }, () => letters[randomInt(letters.length)]).join(''),
      authType: input.AuthType!,
      invokeMode: input.InvokeMode ?? 'BUFFERED',
      ...(input.Cors === undefined ? {} : { cors: { ...input.Cors } }),
      creationTime: time,
      lastModifiedTime: time,
    };
    const { LastModifiedTime: _time, ...made } = keep(context, document, qualifier, url);
    return made;
  }),
);

export const updateFunctionUrlConfig = operation<UpdateFunctionUrlConfigRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { document, qualifier } = target(context, input);
    const before = document.urls[qualifier ?? '$LATEST'];
    if (before === undefined) throw urlMissing();
    return keep(context, document, qualifier, {
      ...before,
      authType: input.AuthType ?? before.authType,
      invokeMode: input.InvokeMode ?? before.invokeMode,
      ...(input.Cors === undefined ? {} : { cors: { ...input.Cors } }),
      lastModifiedTime: new Date(context.now()).toISOString(),
    });
  }),
);

export const getFunctionUrlConfig = operation<GetFunctionUrlConfigRequest>(({ context }, input) => {
  const { document, qualifier, url } = existing(context, input);
  return render(context, document.name, qualifier, url);
});

export const deleteFunctionUrlConfig = operation<DeleteFunctionUrlConfigRequest>((call, input) =>
  call.transaction(() => {
    const { document, qualifier } = existing(call.context, input);
    const { [qualifier ?? '$LATEST']: _removed, ...urls } = document.urls;
    call.context.documents.functions.put(document.name, { ...document, urls });
    return undefined;
  }),
);

const urlsPerPage = 50;

export const listFunctionUrlConfigs = operation<ListFunctionUrlConfigsRequest>(({ context }, input) => {
  const { name } = functionReference(context, input.FunctionName!);
  const document = context.documents.functions.get(name);
  if (document === undefined) throw functionMissing();
  const urls = Object.entries(document.urls).sort(([a], [b]) => (a < b ? -1 : 1));
  const { items, nextMarker } = page(urls, {
    keyOf: ([qualifier]) => qualifier,
    limit: urlsPerPage,
    marker: input.Marker,
    maxItems: input.MaxItems,
  });
  return {
    FunctionUrlConfigs: items.map(([qualifier, url]) =>
      render(context, name, qualifier === '$LATEST' ? undefined : qualifier, url),
    ),
    ...(nextMarker === undefined ? {} : { NextMarker: nextMarker }),
  };
});

interface Request {
  FunctionName?: string | undefined;
  Qualifier?: string | undefined;
}

function target(context: Context, input: Request): { document: FunctionDocument; qualifier: string | undefined } {
  const { name, qualifier } = functionReference(context, input.FunctionName!, input.Qualifier);
  const document = context.documents.functions.get(name);
  if (document === undefined || findVersion(context, document, qualifier) === undefined) throw functionMissing();
  return { document, qualifier };
}

function existing(
  context: Context,
  input: Request,
): { document: FunctionDocument; qualifier: string | undefined; url: FunctionUrlDocument } {
  const { name, qualifier } = functionReference(context, input.FunctionName!, input.Qualifier);
  const document = context.documents.functions.get(name);
  const url = document?.urls[qualifier ?? '$LATEST'];
  if (document === undefined || url === undefined) throw urlMissing();
  return { document, qualifier, url };
}

function keep(
  context: Context,
  document: FunctionDocument,
  qualifier: string | undefined,
  url: FunctionUrlDocument,
): Record<string, unknown> {
  context.documents.functions.put(document.name, {
    ...document,
    urls: { ...document.urls, [qualifier ?? '$LATEST']: url },
  });
  return render(context, document.name, qualifier, url);
}

/** Everything below localhost is this machine (RFC 6761), so each URL has a host of its own, as on AWS. */
function urlHost(context: Context, id: string): string {
  return `${id}.lambda-url.${context.region}.localhost:${new URL(context.endpoint()).port}`;
}

function render(
  context: Context,
  name: string,
  qualifier: string | undefined,
  url: FunctionUrlDocument,
): Record<string, unknown> {
  return {
    FunctionUrl: `http://${urlHost(context, url.id)}/`,
    FunctionArn: functionArn(context, name, qualifier),
    AuthType: url.authType,
    ...(url.cors === undefined ? {} : { Cors: url.cors }),
    CreationTime: url.creationTime,
    LastModifiedTime: url.lastModifiedTime,
    InvokeMode: url.invokeMode,
  };
}
