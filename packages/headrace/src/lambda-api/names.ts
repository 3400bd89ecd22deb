import { invalidParameter, LambdaError, notFound } from './errors.ts';

export interface Place {
  readonly region: string;
  readonly accountId: string;
}

/** A function as a request names it: any form of the name, taken apart. */
export interface FunctionReference {
  readonly name: string;
  /** From the name or the `Qualifier` parameter; undefined when none was given. */
  readonly qualifier: string | undefined;
}

// Name, partial ARN or ARN, each with an optional qualifier (patterns P1 and P2 of the model, with groups).
const form =
  /^(?:arn:aws[a-zA-Z-]*:lambda:)?(?:((?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9-_.]+)(?::(\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?$/;

/** Takes a name apart without judging where it points; undefined when it is no legal form. */
export function takeApart(
  text: string,
):
  | { region: string | undefined; accountId: string | undefined; name: string; qualifier: string | undefined }
  | undefined {
  const match = form.exec(text);
  if (match === null) return undefined;
  return { region: match[1], accountId: match[2], name: match[3]!, qualifier: match[4] };
}

/** `text` has passed the model's pattern. Throws for another region or account, and for contradicting qualifiers. */
export function functionReference(place: Place, text: string, qualifier?: string): FunctionReference {
  const parts = takeApart(text);
  if (parts === undefined) throw invalidParameter(`${text} is not a function name or ARN.`);
  if (parts.region !== undefined && parts.region !== place.region) {
    throw notFound(`Functions from '${parts.region}' are not reachable in this region ('${place.region}')`);
  }
  if (parts.accountId !== undefined && parts.accountId !== place.accountId) {
    const message = `User is not authorized to perform this operation on resource: ${text} because no resource-based policy allows it`;
    throw new LambdaError('AccessDeniedException', message);
  }
  if (parts.qualifier !== undefined && qualifier !== undefined && parts.qualifier !== qualifier) {
    throw invalidParameter('The derived qualifier from the function name does not match the specified qualifier.');
  }
  return { name: parts.name, qualifier: qualifier ?? parts.qualifier };
}

export function functionArn({ region, accountId }: Place, name: string, qualifier?: string): string {
  const arn = `arn:aws:lambda:${region}:${accountId}:function:${name}`;
  return qualifier === undefined ? arn : `${arn}:${qualifier}`;
}

export const mappingArn = ({ region, accountId }: Place, uuid: string): string =>
  `arn:aws:lambda:${region}:${accountId}:event-source-mapping:${uuid}`;

export const layerArn = ({ region, accountId }: Place, name: string): string =>
  `arn:aws:lambda:${region}:${accountId}:layer:${name}`;

export const isVersionNumber = (qualifier: string): boolean => /^[0-9]+$/.test(qualifier);
