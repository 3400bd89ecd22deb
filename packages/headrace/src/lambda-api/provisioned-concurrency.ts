import type {
  DeleteProvisionedConcurrencyConfigRequest,
  GetProvisionedConcurrencyConfigRequest,
  ListProvisionedConcurrencyConfigsRequest,
  PutProvisionedConcurrencyConfigRequest,
} from '@aws-sdk/client-lambda';
import { minimumUnreserved, provisionedTotal, reservedTotal } from './concurrency.ts';
import { timestampText } from './configuration.ts';
import { type Context, findFunction, operation, requireQualifiedFunction } from './context.ts';
import type { FunctionDocument, ProvisionedConcurrencyDocument } from './documents.ts';
import { conflict, invalidParameter, LambdaError } from './errors.ts';
import { functionArn, functionReference } from './names.ts';
import { page } from './pagination.ts';

export const putProvisionedConcurrencyConfig = operation<PutProvisionedConcurrencyConfigRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { name, qualifier } = functionReference(context, input.FunctionName!, input.Qualifier);
    if (qualifier === '$LATEST') {
      throw invalidParameter('Provisioned Concurrency Configs cannot be applied to unpublished function versions.');
    }
    const document = requireQualifiedFunction(context, name, qualifier);
    refuseOverlap(document, qualifier!);
    const requested = input.ProvisionedConcurrentExecutions!;
    refuseTooMany(context, document, qualifier!, requested);
    const config: ProvisionedConcurrencyDocument = { requested, lastModified: context.now() };
    context.documents.functions.put(name, {
      ...document,
      provisionedConcurrency: { ...document.provisionedConcurrency, [qualifier!]: config },
    });
    context.engine.setProvisionedConcurrency(name, versionOf(document, qualifier!), requested);
    return render(context, config);
  }),
);

export const getProvisionedConcurrencyConfig = operation<GetProvisionedConcurrencyConfigRequest>(
  ({ context }, input) => {
    const { config } = existing(context, input);
    return render(context, config);
  },
);

export const deleteProvisionedConcurrencyConfig = operation<DeleteProvisionedConcurrencyConfigRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { document, qualifier } = existing(context, input, true);
    const { [qualifier]: removed, ...provisionedConcurrency } = document.provisionedConcurrency;
    if (removed === undefined) return undefined;
    context.documents.functions.put(document.name, { ...document, provisionedConcurrency });
    context.engine.setProvisionedConcurrency(document.name, versionOf(document, qualifier), 0);
    return undefined;
  }),
);

const configsPerPage = 50;

export const listProvisionedConcurrencyConfigs = operation<ListProvisionedConcurrencyConfigsRequest>(
  ({ context }, input) => {
    const { document } = findFunction(context, input.FunctionName!);
    const configs = Object.entries(document.provisionedConcurrency).sort(([a], [b]) => (a < b ? -1 : 1));
    const { items, nextMarker } = page(configs, {
      keyOf: ([qualifier]) => qualifier,
      limit: configsPerPage,
      marker: input.Marker,
      maxItems: input.MaxItems,
    });
    return {
      ProvisionedConcurrencyConfigs: items.map(([qualifier, config]) => ({
        FunctionArn: functionArn(context, document.name, qualifier),
        ...render(context, config),
      })),
      ...(nextMarker === undefined ? {} : { NextMarker: nextMarker }),
    };
  },
);

const versionOf = (document: FunctionDocument, qualifier: string): string =>
  document.aliases[qualifier]?.functionVersion ?? qualifier;

/** A version is provisioned by its number or by one alias, not by both. */
function refuseOverlap(document: FunctionDocument, qualifier: string): void {
  const alias = document.aliases[qualifier];
  if (alias !== undefined && document.provisionedConcurrency[alias.functionVersion] !== undefined) {
    throw conflict("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version");
  }
  const isBehindAlias = Object.keys(document.provisionedConcurrency).some(
    (other) => other !== qualifier && document.aliases[other]?.functionVersion === qualifier,
  );
  if (isBehindAlias) throw conflict('Version is pointed by a Provisioned Concurrency alias');
}

function refuseTooMany(context: Context, document: FunctionDocument, qualifier: string, requested: number): void {
  const { reservedConcurrency } = document;
  const others = provisionedTotal(document) - (document.provisionedConcurrency[qualifier]?.requested ?? 0);
  if (reservedConcurrency !== undefined) {
    if (others + requested > reservedConcurrency) {
      throw invalidParameter(
        `Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function`,
      );
    }
    return;
  }
  const unreserved = context.accountConcurrency - reservedTotal(context, document.name) - others;
  if (requested > unreserved) {
    throw invalidParameter(
      `Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [${unreserved}].`,
    );
  }
  if (unreserved - requested < minimumUnreserved) {
    throw invalidParameter(
      `Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [${minimumUnreserved}].`,
    );
  }
}

function existing(
  context: Context,
  input: { FunctionName?: string | undefined; Qualifier?: string | undefined },
  missingIsFine = false,
): { document: FunctionDocument; qualifier: string; config: ProvisionedConcurrencyDocument } {
  const { name, qualifier } = functionReference(context, input.FunctionName!, input.Qualifier);
  if (qualifier === '$LATEST') {
    throw invalidParameter('The function resource provided must be an alias or a published version.');
  }
  const document = requireQualifiedFunction(context, name, qualifier);
  const config = document.provisionedConcurrency[qualifier!];
  if (config === undefined && !missingIsFine) {
    throw new LambdaError(
      'ProvisionedConcurrencyConfigNotFoundException',
      'No Provisioned Concurrency Config found for this function',
    );
  }
  return { document, qualifier: qualifier!, config: config! };
}

function render(
  context: Context,
  { requested, lastModified }: ProvisionedConcurrencyDocument,
): Record<string, unknown> {
  const isReady = context.now() >= lastModified + context.settleMilliseconds;
  const allocated = isReady ? requested : 0;
  return {
    RequestedProvisionedConcurrentExecutions: requested,
    AvailableProvisionedConcurrentExecutions: allocated,
    AllocatedProvisionedConcurrentExecutions: allocated,
    Status: isReady ? 'READY' : 'IN_PROGRESS',
    // Without milliseconds, unlike those of functions.
    LastModified: timestampText(lastModified).replace(/\.\d+/, ''),
  };
}
