import { randomUUID } from 'node:crypto';
import type {
  CreateAliasRequest,
  DeleteAliasRequest,
  GetAliasRequest,
  ListAliasesRequest,
  UpdateAliasRequest,
} from '@aws-sdk/client-lambda';
import {
  aliasNotFound,
  type Context,
  findFunction,
  functionNotFound,
  operation,
  preconditionFailed,
} from './context.ts';
import { type AliasDocument, type FunctionDocument, versionId } from './documents.ts';
import { conflict, invalidParameter, notFound } from './errors.ts';
import { functionArn, isVersionNumber, type Place } from './names.ts';
import { page } from './pagination.ts';

export const createAlias = operation<CreateAliasRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    // The function is looked for by its version: "Function not found: ARN:VERSION".
    const { document } = findFunction(context, input.FunctionName!, undefined, input.FunctionVersion);
    const name = input.Name!;
    requireTarget(context, document, input.FunctionVersion!);
    const routing = checkedRouting(context, document, input.FunctionVersion!, input.RoutingConfig);
    if (document.aliases[name] !== undefined) {
      throw conflict(`Alias already exists: ${functionArn(context, document.name, name)}`);
    }
    const alias: AliasDocument = {
      name,
      functionVersion: input.FunctionVersion!,
      description: input.Description ?? '',
      revisionId: randomUUID(),
      routing,
    };
    return putAlias(context, document, alias);
  }),
);

export const updateAlias = operation<UpdateAliasRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { document } = findFunction(context, input.FunctionName!);
    const before = document.aliases[input.Name!];
    if (before === undefined) throw notFound(`Alias not found: ${functionArn(context, document.name, input.Name!)}`);
    if (input.RevisionId !== undefined && input.RevisionId !== before.revisionId) throw preconditionFailed();
    const functionVersion = input.FunctionVersion ?? before.functionVersion;
    requireTarget(context, document, functionVersion);
    const routing =
      input.RoutingConfig === undefined
        ? before.routing
        : checkedRouting(context, document, functionVersion, input.RoutingConfig);
    return putAlias(context, document, {
      ...before,
      functionVersion,
      description: input.Description ?? before.description,
      revisionId: randomUUID(),
      routing,
    });
  }),
);

export const getAlias = operation<GetAliasRequest>(({ context }, input) => {
  const { document } = findFunction(context, input.FunctionName!);
  const alias = document.aliases[input.Name!];
  if (alias === undefined) throw aliasNotFound(context, document.name, input.Name!);
  return render(context, document, alias);
});

/** Deleting an alias that is not there succeeds. */
export const deleteAlias = operation<DeleteAliasRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { document } = findFunction(context, input.FunctionName!);
    const name = input.Name!;
    if (document.aliases[name] === undefined) return undefined;
    const without = <T>(record: Readonly<Record<string, T>>): Record<string, T> =>
      Object.fromEntries(Object.entries(record).filter(([key]) => key !== name));
    context.documents.functions.put(document.name, {
      ...document,
      aliases: without(document.aliases),
      policies: without(document.policies),
      provisionedConcurrency: without(document.provisionedConcurrency),
      eventInvokeConfigs: without(document.eventInvokeConfigs),
      urls: without(document.urls),
    });
    return undefined;
  }),
);

const aliasesPerPage = 50;

export const listAliases = operation<ListAliasesRequest>(({ context }, input) => {
  const { document } = findFunction(context, input.FunctionName!);
  const wanted = Object.values(document.aliases)
    .filter(
      ({ functionVersion, routing }) =>
        input.FunctionVersion === undefined ||
        functionVersion === input.FunctionVersion ||
        routing[input.FunctionVersion] !== undefined,
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const { items, nextMarker } = page(wanted, {
    keyOf: ({ name }) => name,
    limit: aliasesPerPage,
    marker: input.Marker,
    maxItems: input.MaxItems,
  });
  return {
    Aliases: items.map((alias) => render(context, document, alias)),
    ...(nextMarker === undefined ? {} : { NextMarker: nextMarker }),
  };
});

function requireTarget(context: Context, document: FunctionDocument, version: string): void {
  if (!context.documents.versions.has(versionId(document.name, version))) {
    throw functionNotFound(context, document.name, version);
  }
}

function checkedRouting(
  context: Context,
  document: FunctionDocument,
  functionVersion: string,
  config: CreateAliasRequest['RoutingConfig'],
): Readonly<Record<string, number>> {
  const weights = config?.AdditionalVersionWeights ?? {};
  const versions = Object.keys(weights);
  if (versions.length === 0) return {};
  if (versions.length > 1) {
    throw invalidParameter('Number of items in AdditionalVersionWeights cannot be greater than 1');
  }
  const [other] = versions as [string];
  if (!isVersionNumber(functionVersion)) {
    throw invalidParameter('$LATEST is not supported for an alias pointing to more than 1 version');
  }
  if (other === functionVersion) {
    throw invalidParameter(
      `Invalid function version ${other}. Function version ${other} is already included in routing configuration.`,
    );
  }
  requireTarget(context, document, other);
  return weights;
}

function putAlias(context: Context, document: FunctionDocument, alias: AliasDocument): Record<string, unknown> {
  context.documents.functions.put(document.name, {
    ...document,
    aliases: { ...document.aliases, [alias.name]: alias },
  });
  moveProvisioned(context, document, alias);
  return render(context, document, alias);
}

/** What is provisioned for an alias is provisioned for the version behind it. */
function moveProvisioned({ engine }: Context, document: FunctionDocument, alias: AliasDocument): void {
  const provisioned = document.provisionedConcurrency[alias.name];
  const before = document.aliases[alias.name]?.functionVersion;
  if (provisioned === undefined || before === alias.functionVersion) return;
  if (before !== undefined) engine.setProvisionedConcurrency(document.name, before, 0);
  engine.setProvisionedConcurrency(document.name, alias.functionVersion, provisioned.requested);
}

function render(place: Place, document: FunctionDocument, alias: AliasDocument): Record<string, unknown> {
  return {
    AliasArn: functionArn(place, document.name, alias.name),
    Name: alias.name,
    FunctionVersion: alias.functionVersion,
    Description: alias.description,
    ...(Object.keys(alias.routing).length === 0 ? {} : { RoutingConfig: { AdditionalVersionWeights: alias.routing } }),
    RevisionId: alias.revisionId,
  };
}
