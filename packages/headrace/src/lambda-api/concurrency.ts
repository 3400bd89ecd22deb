import type {
  DeleteFunctionConcurrencyRequest,
  GetFunctionConcurrencyRequest,
  PutFunctionConcurrencyRequest,
} from '@aws-sdk/client-lambda';
import { type Context, findFunction, operation } from './context.ts';
import type { FunctionDocument } from './documents.ts';
import { invalidParameter, LambdaError, notFound } from './errors.ts';
import { functionArn, functionReference } from './names.ts';

/** Must stay without reservation in an account. */
export const minimumUnreserved = 100;

export const putFunctionConcurrency = operation<PutFunctionConcurrencyRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const document = unqualified(context, input.FunctionName!, ':$LATEST');
    const reserved = input.ReservedConcurrentExecutions!;
    const provisioned = provisionedTotal(document);
    if (reserved < provisioned) {
      throw invalidParameter(
        ` ReservedConcurrentExecutions  ${reserved} should not be lower than function's total provisioned concurrency [${provisioned}].`,
      );
    }
    if (context.accountConcurrency - reservedTotal(context, document.name) - reserved < minimumUnreserved) {
      throw new LambdaError(
        'InvalidParameterValueException',
        `Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [${minimumUnreserved}].`,
        { withoutType: true },
      );
    }
    context.documents.functions.put(document.name, { ...document, reservedConcurrency: reserved });
    context.engine.setReservedConcurrency(document.name, reserved);
    return { ReservedConcurrentExecutions: reserved };
  }),
);

export const getFunctionConcurrency = operation<GetFunctionConcurrencyRequest>(({ context }, input) => {
  const { document } = findFunction(context, input.FunctionName!);
  const { reservedConcurrency } = document;
  return reservedConcurrency === undefined ? {} : { ReservedConcurrentExecutions: reservedConcurrency };
});

export const deleteFunctionConcurrency = operation<DeleteFunctionConcurrencyRequest>((call, input) =>
  call.transaction(() => {
    const { context } = call;
    const { reservedConcurrency: _reserved, ...document } = unqualified(context, input.FunctionName!, '');
    context.documents.functions.put(document.name, document);
    context.engine.setReservedConcurrency(document.name, undefined);
    return undefined;
  }),
);

/** Concurrency belongs to the function as a whole. `suffix`: what stands behind the ARN in the 404. */
function unqualified(context: Context, text: string, suffix: string): FunctionDocument {
  const { name, qualifier } = functionReference(context, text);
  if (qualifier !== undefined) {
    throw invalidParameter(
      'This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.',
    );
  }
  const document = context.documents.functions.get(name);
  if (document === undefined) throw notFound(`Function not found: ${functionArn(context, name)}${suffix}`);
  return document;
}

export const provisionedTotal = (document: FunctionDocument): number =>
  Object.values(document.provisionedConcurrency).reduce((sum, { requested }) => sum + requested, 0);

/** What other functions hold back from the account's pool: their reservation, or what they have provisioned. */
export function reservedTotal(context: Context, except?: string): number {
  let total = 0;
  for (const document of context.documents.functions.values()) {
    if (document.name !== except) total += document.reservedConcurrency ?? provisionedTotal(document);
  }
  return total;
}
