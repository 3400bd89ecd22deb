import type { EventRules } from '../asynchronous/index.ts';
import type { Context } from './context.ts';
import { versionId } from './documents.ts';
import { functionArn } from './names.ts';

/** Lambda's defaults (PutFunctionEventInvokeConfig). */
const defaultRetryAttempts = 2;
const defaultEventAgeSeconds = 21_600;

/** What an asynchronous invocation of this function goes by; undefined when function or qualifier do not exist. */
export function eventRules(context: Context, functionName: string, qualifier: string): EventRules | undefined {
  const document = context.documents.functions.get(functionName);
  const version = document?.aliases[qualifier]?.functionVersion ?? qualifier;
  const latest = context.documents.versions.get(versionId(functionName, '$LATEST'));
  if (document === undefined || !context.documents.versions.has(versionId(functionName, version))) return undefined;
  const config = document.eventInvokeConfigs[qualifier];
  return {
    functionArn: functionArn(context, functionName, qualifier),
    maximumRetryAttempts: config?.maximumRetryAttempts ?? defaultRetryAttempts,
    maximumEventAgeMilliseconds: (config?.maximumEventAgeInSeconds ?? defaultEventAgeSeconds) * 1_000,
    onSuccess: config?.onSuccess,
    onFailure: config?.onFailure,
    // The function's own setting holds for all its versions.
    deadLetterTarget: latest?.DeadLetterConfig?.TargetArn,
    isDisabled: document.reservedConcurrency === 0,
  };
}
