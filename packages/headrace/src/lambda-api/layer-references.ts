import type { Context } from './context.ts';
import { type LayerReference, versionId } from './documents.ts';
import { invalidParameter, LambdaError } from './errors.ts';

const maximumLayers = 5;

/** The layer versions that a function asks for, in merge order. Throws in the service's words. */
export function layerReferences(context: Context, arns: readonly string[]): readonly LayerReference[] {
  if (arns.length > maximumLayers) throw invalidParameter('Cannot reference more than 5 layers.');
  const seen = new Map<string, string>();
  return arns.map((arn) => {
    const [, , , region, accountId, , name, version] = arn.split(':') as string[];
    if (region !== context.region) {
      throw invalidParameter(
        `Layers are not in the same region as the function. Layers are expected to be in region ${context.region}.`,
      );
    }
    if (accountId !== context.accountId) {
      const message = `User is not authorized to perform: lambda:GetLayerVersion on resource: ${arn} because no resource-based policy allows the lambda:GetLayerVersion action`;
      throw new LambdaError('AccessDeniedException', message);
    }
    const document = context.documents.layers.get(versionId(name!, version!));
    if (document === undefined || document.deleted) throw invalidParameter(`Layer version ${arn} does not exist.`);
    const other = seen.get(name!);
    if (other !== undefined) {
      throw invalidParameter(
        `Two different versions of the same layer are not allowed to be referenced in the same function. ${arn} and ${other} are versions of the same layer.`,
      );
    }
    seen.set(name!, arn);
    return { arn, size: document.size, sha256: document.sha256 };
  });
}
