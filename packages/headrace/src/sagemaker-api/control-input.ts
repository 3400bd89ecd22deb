import { validationException } from './control-errors.ts';
import { NAME } from './endpoints.ts';
import { SageMakerError } from './errors.ts';
import { isStorageUri } from './storage.ts';
import type { Channel } from './training.ts';

/** A request's members, nothing of which is believed yet. */
export type Input = Readonly<Record<string, unknown>>;

export function parseInput(body: Buffer): Input {
  let input: unknown;
  try {
    input = JSON.parse(body.toString('utf8') || '{}');
  } catch {
    throw new SageMakerError(400, 'SerializationException', 'The body of the request is not JSON.');
  }
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new SageMakerError(400, 'SerializationException', 'The body of the request is not a JSON object.');
  }
  return input as Input;
}

export function nameOf(input: Input, field: string): string {
  const name = input[field];
  if (typeof name !== 'string' || name.length === 0 || name.length > 63 || !NAME.test(name)) {
    throw validationException(
      `1 validation error detected: Value ${JSON.stringify(name ?? null)} at '${field[0]!.toLowerCase()}${field.slice(1)}' failed to satisfy ` +
        `constraint: Member must have 1 to 63 characters and satisfy regular expression pattern: ${NAME.source}`,
    );
  }
  return name;
}

export function member(input: Input, ...path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, name) => (typeof value === 'object' && value !== null ? (value as Input)[name] : undefined),
    input,
  );
}

export function channelsOf(input: Input): Map<string, Channel> {
  const channels = new Map<string, Channel>();
  const list = input['InputDataConfig'];
  for (const channel of Array.isArray(list) ? (list as Input[]) : []) {
    const name = member(channel, 'ChannelName');
    const uri = member(channel, 'DataSource', 'S3DataSource', 'S3Uri');
    if (typeof name !== 'string' || !isStorageUri(uri)) {
      throw validationException(
        'InputDataConfig: each channel needs a ChannelName and an S3Uri of s3://bucket/prefix or file:///folder.',
      );
    }
    channels.set(name, { uri, contentType: String(member(channel, 'ContentType') ?? 'text/csv') });
  }
  return channels;
}

export function containerOf(input: Input): Input {
  const containers = input['Containers'];
  const container =
    input['PrimaryContainer'] ?? (Array.isArray(containers) && containers.length === 1 ? containers[0] : undefined);
  if (typeof container !== 'object' || container === null)
    throw validationException('PrimaryContainer, or one container, is required.');
  return container as Input;
}

export function variantOf(input: Input): { model: string; variant: string } {
  const variants = input['ProductionVariants'];
  if (!Array.isArray(variants) || variants.length !== 1)
    throw validationException('ProductionVariants must hold exactly one variant.');
  const model = member(variants[0] as Input, 'ModelName');
  const variant = member(variants[0] as Input, 'VariantName');
  if (typeof model !== 'string' || typeof variant !== 'string') {
    throw validationException('ProductionVariants: VariantName and ModelName are required.');
  }
  return { model, variant };
}

/** Lists records newest first, in pages; the token is the name of the last one. */
export function list<T extends { readonly created: number; readonly status?: string }>(
  input: Input,
  records: Readonly<Record<string, T>>,
  field: string,
  summarise: (name: string, record: T) => unknown,
): unknown {
  const contains = input['NameContains'];
  const status = input['StatusEquals'];
  const most = input['MaxResults'] ?? 10;
  if (typeof most !== 'number' || !Number.isInteger(most) || most < 1 || most > 100) {
    throw validationException('MaxResults must be a whole number from 1 to 100.');
  }
  const direction = input['SortOrder'] === 'Ascending' ? 1 : -1;
  const byName = input['SortBy'] === 'Name';
  const all = Object.entries(records)
    .filter(
      ([name, record]) =>
        (contains === undefined || name.includes(String(contains))) &&
        (status === undefined || record.status === status),
    )
    .sort(
      ([a, x], [b, y]) => direction * (byName || x.created === y.created ? (a < b ? -1 : 1) : x.created - y.created),
    );
  const token = input['NextToken'];
  const from = token === undefined ? 0 : all.findIndex(([name]) => name === token) + 1;
  if (token !== undefined && from === 0) throw validationException('NextToken is not one that was given.');
  const page = all.slice(from, from + most);
  const more = from + most < all.length;
  return {
    [field]: page.map(([name, record]) => summarise(name, record)),
    ...(more ? { NextToken: page.at(-1)![0] } : {}),
  };
}

/** Runs a check whose plain errors are the client's. */
export function wrong<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw validationException(error instanceof Error ? error.message : String(error));
  }
}

export function seconds(): number {
  return Date.now() / 1000;
}
