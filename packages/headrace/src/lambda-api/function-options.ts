import type {
  GetFunctionRecursionConfigRequest,
  GetRuntimeManagementConfigRequest,
  PutFunctionRecursionConfigRequest,
  PutRuntimeManagementConfigRequest,
} from '@aws-sdk/client-lambda';
import { findFunction, operation, requireVersion } from './context.ts';
import { invalidParameter } from './errors.ts';
import { functionArn } from './names.ts';

export const getFunctionRecursionConfig = operation<GetFunctionRecursionConfigRequest>(({ context }, input) => ({
  RecursiveLoop: findFunction(context, input.FunctionName!).document.recursiveLoop,
}));

export const putFunctionRecursionConfig = operation<PutFunctionRecursionConfigRequest>((call, input) =>
  call.transaction(() => {
    const { document } = findFunction(call.context, input.FunctionName!);
    const recursiveLoop = input.RecursiveLoop!;
    call.context.documents.functions.put(document.name, { ...document, recursiveLoop });
    return { RecursiveLoop: recursiveLoop };
  }),
);

export const getRuntimeManagementConfig = operation<GetRuntimeManagementConfigRequest>(({ context }, input) => {
  const { reference, document } = findFunction(context, input.FunctionName!, input.Qualifier);
  requireVersion(context, document, reference.qualifier);
  const config = document.runtimeManagement[reference.qualifier ?? '$LATEST'];
  return {
    FunctionArn: functionArn(context, document.name, reference.qualifier),
    UpdateRuntimeOn: config?.updateRuntimeOn ?? 'Auto',
    ...(config?.runtimeVersionArn === undefined ? {} : { RuntimeVersionArn: config.runtimeVersionArn }),
  };
});

/** Kept and answered; the runtimes of a machine are updated by who owns it. */
export const putRuntimeManagementConfig = operation<PutRuntimeManagementConfigRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { reference, document } = findFunction(context, input.FunctionName!, input.Qualifier);
    requireVersion(context, document, reference.qualifier);
    if (input.UpdateRuntimeOn === 'Manual' && input.RuntimeVersionArn === undefined) {
      throw invalidParameter('RuntimeVersionArn is required when UpdateRuntimeOn is Manual.');
    }
    if (input.UpdateRuntimeOn !== 'Manual' && input.RuntimeVersionArn !== undefined) {
      throw invalidParameter('RuntimeVersionArn is only valid when UpdateRuntimeOn is Manual.');
    }
    const config = {
      updateRuntimeOn: input.UpdateRuntimeOn!,
      ...(input.RuntimeVersionArn === undefined ? {} : { runtimeVersionArn: input.RuntimeVersionArn }),
    };
    context.documents.functions.put(document.name, {
      ...document,
      runtimeManagement: { ...document.runtimeManagement, [reference.qualifier ?? '$LATEST']: config },
    });
    return {
      FunctionArn: functionArn(context, document.name, reference.qualifier),
      UpdateRuntimeOn: config.updateRuntimeOn,
      ...(config.runtimeVersionArn === undefined ? {} : { RuntimeVersionArn: config.runtimeVersionArn }),
    };
  }),
);
