import type {
  DeleteFunctionEventInvokeConfigRequest,
  DestinationConfig,
  GetFunctionEventInvokeConfigRequest,
  ListFunctionEventInvokeConfigsRequest,
  PutFunctionEventInvokeConfigRequest,
  UpdateFunctionEventInvokeConfigRequest,
} from '@aws-sdk/client-lambda';
import { type Context, findVersion, operation } from './context.ts';
import type { EventInvokeDocument, FunctionDocument } from './documents.ts';
import { invalidParameter, type LambdaError, notFound } from './errors.ts';
import { functionArn, functionReference, takeApart } from './names.ts';
import { page } from './pagination.ts';

type Settings = PutFunctionEventInvokeConfigRequest | UpdateFunctionEventInvokeConfigRequest;

export const putFunctionEventInvokeConfig = operation<PutFunctionEventInvokeConfigRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    if (
      input.MaximumRetryAttempts === undefined &&
      input.MaximumEventAgeInSeconds === undefined &&
      input.DestinationConfig === undefined
    ) {
      throw invalidParameter('You must specify at least one of error handling or destination setting.');
    }
    const { document, qualifier } = target(context, input);
    return keep(context, document, qualifier, changed(context, document, input, undefined));
  }),
);

export const updateFunctionEventInvokeConfig = operation<UpdateFunctionEventInvokeConfigRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { document, qualifier } = target(context, input);
    const before = document.eventInvokeConfigs[qualifier];
    if (before === undefined) throw noConfig(context, document.name, qualifier);
    return keep(context, document, qualifier, changed(context, document, input, before));
  }),
);

export const getFunctionEventInvokeConfig = operation<GetFunctionEventInvokeConfigRequest>(({ context }, input) => {
  const { document, qualifier, config } = existing(context, input);
  return render(context, document.name, qualifier, config);
});

export const deleteFunctionEventInvokeConfig = operation<DeleteFunctionEventInvokeConfigRequest>((call, input) =>
  call.transaction(() => {
    const { document, qualifier } = existing(call.context, input);
    const { [qualifier]: _removed, ...eventInvokeConfigs } = document.eventInvokeConfigs;
    call.context.documents.functions.put(document.name, { ...document, eventInvokeConfigs });
    return undefined;
  }),
);

const configsPerPage = 50;

export const listFunctionEventInvokeConfigs = operation<ListFunctionEventInvokeConfigsRequest>(({ context }, input) => {
  const { name } = functionReference(context, input.FunctionName!);
  const document = context.documents.functions.get(name);
  if (document === undefined) throw notFound("The function doesn't exist.");
  const configs = Object.entries(document.eventInvokeConfigs).sort(([a], [b]) => (a < b ? -1 : 1));
  const { items, nextMarker } = page(configs, {
    keyOf: ([qualifier]) => qualifier,
    limit: configsPerPage,
    marker: input.Marker,
    maxItems: input.MaxItems,
  });
  return {
    FunctionEventInvokeConfigs: items.map(([qualifier, config]) => render(context, name, qualifier, config)),
    ...(nextMarker === undefined ? {} : { NextMarker: nextMarker }),
  };
});

function target(context: Context, input: Settings): { document: FunctionDocument; qualifier: string } {
  const { name, qualifier = '$LATEST' } = functionReference(context, input.FunctionName!, input.Qualifier);
  const document = context.documents.functions.get(name);
  if (document === undefined || findVersion(context, document, qualifier) === undefined) {
    throw notFound("The function doesn't exist.");
  }
  return { document, qualifier };
}

function existing(
  context: Context,
  input: { FunctionName?: string | undefined; Qualifier?: string | undefined },
): { document: FunctionDocument; qualifier: string; config: EventInvokeDocument } {
  const { name, qualifier = '$LATEST' } = functionReference(context, input.FunctionName!, input.Qualifier);
  const document = context.documents.functions.get(name);
  const config = document?.eventInvokeConfigs[qualifier];
  if (document === undefined || config === undefined) throw noConfig(context, name, qualifier);
  return { document, qualifier, config };
}

const noConfig = (context: Context, name: string, qualifier: string): LambdaError =>
  notFound(`The function ${functionArn(context, name, qualifier)} doesn't have an EventInvokeConfig`);

function changed(
  context: Context,
  document: FunctionDocument,
  input: Settings,
  before: EventInvokeDocument | undefined,
): EventInvokeDocument {
  checkDestinations(context, document, input.DestinationConfig);
  const attempts = input.MaximumRetryAttempts ?? before?.maximumRetryAttempts;
  const age = input.MaximumEventAgeInSeconds ?? before?.maximumEventAgeInSeconds;
  const destinations = input.DestinationConfig;
  const onSuccess = destinations === undefined ? before?.onSuccess : destinations.OnSuccess?.Destination;
  const onFailure = destinations === undefined ? before?.onFailure : destinations.OnFailure?.Destination;
  return {
    lastModified: context.now(),
    ...(attempts === undefined ? {} : { maximumRetryAttempts: attempts }),
    ...(age === undefined ? {} : { maximumEventAgeInSeconds: age }),
    ...(onSuccess ? { onSuccess } : {}),
    ...(onFailure ? { onFailure } : {}),
  };
}

const services = { OnSuccess: ['sqs', 'sns', 'lambda', 'events'], OnFailure: ['sqs', 'sns', 'lambda', 'events', 's3'] };

function checkDestinations(context: Context, document: FunctionDocument, config: DestinationConfig | undefined): void {
  for (const side of ['OnSuccess', 'OnFailure'] as const) {
    const destination = config?.[side]?.Destination;
    if (!destination) continue;
    const service = destination.split(':')[2] ?? '';
    if (!services[side].includes(service)) {
      const shown = (name: 'OnSuccess' | 'OnFailure'): string => {
        const value = config?.[name]?.Destination;
        return value === undefined ? 'null' : `${name}(destination=${value})`;
      };
      throw invalidParameter(
        `The provided destination config DestinationConfig(onSuccess=${shown('OnSuccess')}, onFailure=${shown('OnFailure')}) is invalid.`,
      );
    }
    if (service !== 'lambda') continue;
    const name = takeApart(destination)?.name;
    if (name === document.name) throw invalidParameter("You can't specify the function as a destination for itself.");
    if (name === undefined || !context.documents.functions.has(name)) {
      throw invalidParameter(`The destination ARN ${destination} is invalid.`);
    }
  }
}

function keep(
  context: Context,
  document: FunctionDocument,
  qualifier: string,
  config: EventInvokeDocument,
): Record<string, unknown> {
  context.documents.functions.put(document.name, {
    ...document,
    eventInvokeConfigs: { ...document.eventInvokeConfigs, [qualifier]: config },
  });
  return render(context, document.name, qualifier, config);
}

function render(
  context: Context,
  name: string,
  qualifier: string,
  config: EventInvokeDocument,
): Record<string, unknown> {
  const { maximumRetryAttempts, maximumEventAgeInSeconds, onSuccess, onFailure } = config;
  return {
    LastModified: config.lastModified / 1_000,
    FunctionArn: functionArn(context, name, qualifier),
    ...(maximumRetryAttempts === undefined ? {} : { MaximumRetryAttempts: maximumRetryAttempts }),
    ...(maximumEventAgeInSeconds === undefined ? {} : { MaximumEventAgeInSeconds: maximumEventAgeInSeconds }),
    DestinationConfig: {
      OnSuccess: onSuccess === undefined ? {} : { Destination: onSuccess },
      OnFailure: onFailure === undefined ? {} : { Destination: onFailure },
    },
  };
}
