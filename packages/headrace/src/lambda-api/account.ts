import { reservedTotal } from './concurrency.ts';
import { operation } from './context.ts';

/** Lambda's own limits; the concurrency is this engine's. */
export const getAccountSettings = operation<object>(({ context }) => {
  const { accountConcurrency, documents } = context;
  let totalCodeSize = 0;
  for (const { code } of documents.versions.values()) if (code.kind === 'zip') totalCodeSize += code.size;
  for (const { size, deleted } of documents.layers.values()) if (!deleted) totalCodeSize += size;
  return {
    AccountLimit: {
      TotalCodeSize: 80_530_636_800,
      CodeSizeUnzipped: 262_144_000,
      CodeSizeZipped: 52_428_800,
      ConcurrentExecutions: accountConcurrency,
      UnreservedConcurrentExecutions: accountConcurrency - reservedTotal(context),
    },
    AccountUsage: { TotalCodeSize: totalCodeSize, FunctionCount: documents.functions.size },
  };
});
