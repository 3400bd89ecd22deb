/**
 * Writes src/protocol/messages/*.ts from the message definitions that Apache Kafka ships inside kafka-clients (folder
 * common/message of the jar). Run it when the broker should learn an API or a newer version:
 *
 *     unzip kafka-clients-4.3.1.jar 'common/message/*.json' -d DIR
 *     npm run -w @headrace/dev-broker generate -- DIR/common/message && npx biome check --write packages/dev-broker
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The APIs that the broker answers. */
export const apiNames = [
  'Produce',
  'Fetch',
  'ListOffsets',
  'Metadata',
  'OffsetCommit',
  'OffsetFetch',
  'FindCoordinator',
  'JoinGroup',
  'Heartbeat',
  'LeaveGroup',
  'SyncGroup',
  'DescribeGroups',
  'ListGroups',
  'SaslHandshake',
  'ApiVersions',
  'CreateTopics',
  'DeleteTopics',
  'DeleteRecords',
  'InitProducerId',
  'OffsetForLeaderEpoch',
  'AddPartitionsToTxn',
  'AddOffsetsToTxn',
  'EndTxn',
  'TxnOffsetCommit',
  'DescribeAcls',
  'CreateAcls',
  'DeleteAcls',
  'DescribeConfigs',
  'AlterConfigs',
  'DescribeLogDirs',
  'SaslAuthenticate',
  'CreatePartitions',
  'DeleteGroups',
  'IncrementalAlterConfigs',
  'ListPartitionReassignments',
  'OffsetDelete',
  'DescribeUserScramCredentials',
  'AlterUserScramCredentials',
  'DescribeCluster',
  'DescribeProducers',
  'DescribeTransactions',
  'ListTransactions',
  'ConsumerGroupHeartbeat',
  'ConsumerGroupDescribe',
  'ListConfigResources',
  'DescribeTopicPartitions',
  'ShareGroupHeartbeat',
  'ShareGroupDescribe',
  'ShareFetch',
  'ShareAcknowledge',
  'DescribeShareGroupOffsets',
  'AlterShareGroupOffsets',
  'DeleteShareGroupOffsets',
];

/** A field as Kafka's definitions write it. */
export interface Definition {
  name: string;
  type: string;
  versions: string;
  nullableVersions?: string;
  taggedVersions?: string;
  tag?: number;
  default?: string | number | boolean;
  ignorable?: boolean;
  fields?: Definition[];
}

/** One message of Kafka's definitions. */
export interface Message {
  apiKey: number;
  name: string;
  validVersions: string;
  flexibleVersions: string;
  latestVersionUnstable?: boolean;
  fields: Definition[];
  commonStructs?: { name: string; versions: string; fields: Definition[] }[];
}

/** Reads one definition: JSON with line comments. */
export function readDefinition(folder: string, name: string): Message {
  const text = readFileSync(join(folder, `${name}.json`), 'utf8');
  return JSON.parse(text.replace(/^\s*\/\/.*$/gm, '').replace(/,\s*\/\/.*$/gm, ',')) as Message;
}

export const camel = (name: string): string => {
  const start = /^[A-Z]+(?=[A-Z][a-z])|^[A-Z]+$|^[A-Z]/.exec(name)?.[0] ?? '';
  return start.toLowerCase() + name.slice(start.length);
};
export const kebab = (name: string): string => name.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();

/** Highest version that is not marked unstable. */
export function versionsOf(request: Message): [number, number] {
  const [low, high] = request.validVersions.split('-').map(Number) as [number, number | undefined];
  const latest = high ?? low;
  return [low, request.latestVersionUnstable ? latest - 1 : latest];
}

const scalars: Record<string, string> = {
  bool: 'boolean',
  int8: 'number',
  int16: 'number',
  uint16: 'number',
  int32: 'number',
  uint32: 'number',
  int64: 'number',
  float64: 'number',
  string: 'string',
  uuid: 'string',
  bytes: 'Buffer',
  records: 'Records',
};

/** The default of a field as the descriptor holds it; undefined where it is the zero of the type. */
export function defaultOf(field: Definition): string | number | boolean | null | undefined {
  const value = field.default;
  if (value === undefined || value === '') return undefined;
  if (value === 'null') return null;
  if (field.type === 'bool') return String(value) === 'true' ? true : undefined;
  if (field.type === 'string') return value;
  const number = Number(value);
  return number === 0 ? undefined : number;
}

function generate(folder: string, name: string): string {
  const request = readDefinition(folder, `${name}Request`);
  const response = readDefinition(folder, `${name}Response`);
  const versions = versionsOf(request);
  const interfaces = new Map<string, string>();
  let usesRecords = false;

  const message = (definition: Message, isResponse: boolean): string => {
    const common = new Map(definition.commonStructs?.map((struct) => [struct.name, struct.fields]));
    const names = new Map<string, string>();
    const structName = (type: string): string => {
      let chosen = names.get(type);
      if (chosen === undefined) {
        chosen = interfaces.has(type) ? `Response${type}` : type;
        names.set(type, chosen);
        interfaces.set(chosen, '');
      }
      return chosen;
    };
    const optional = (field: Definition): boolean =>
      isResponse &&
      (field.default !== undefined ||
        field.name === 'ThrottleTimeMs' ||
        field.nullableVersions !== undefined ||
        field.taggedVersions !== undefined ||
        Number(/^\d+/.exec(field.versions)?.[0]) > versions[0] ||
        !field.versions.endsWith('+'));
    const typeOf = (field: Definition): string => {
      const element = field.type.replace('[]', '');
      if (element === 'records') usesRecords = true;
      const base = scalars[element] ?? structName(element);
      const type = field.type.startsWith('[]') ? `${base}[]` : base;
      return field.nullableVersions !== undefined && element !== 'records' ? `${type} | null` : type;
    };
    const describe = (fields: Definition[]): string =>
      `[${fields
        .map((field) => {
          const element = field.type.replace('[]', '');
          const parts = [`name: '${camel(field.name)}'`];
          parts.push(`type: '${scalars[element] ? field.type : field.type.startsWith('[]') ? '[]struct' : 'struct'}'`);
          parts.push(`versions: '${field.taggedVersions ?? field.versions}'`);
          if (field.nullableVersions) parts.push(`nullable: '${field.nullableVersions}'`);
          if (field.tag !== undefined) parts.push(`tag: ${field.tag}`);
          const value = defaultOf(field);
          if (value !== undefined) parts.push(`default: ${typeof value === 'string' ? `'${value}'` : value}`);
          if (!scalars[element]) parts.push(`fields: ${describe(field.fields ?? common.get(element) ?? [])}`);
          return `{ ${parts.join(', ')} }`;
        })
        .join(',\n')}]`;
    const declare = (type: string, fields: Definition[]): void => {
      const lines = fields.map((field) => `  ${camel(field.name)}${optional(field) ? '?' : ''}: ${typeOf(field)};`);
      interfaces.set(type, `export interface ${type} {\n${lines.join('\n')}\n}\n`);
      for (const field of fields) {
        const element = field.type.replace('[]', '');
        if (scalars[element]) continue;
        const nested = structName(element);
        if (interfaces.get(nested) === '') declare(nested, field.fields ?? common.get(element) ?? []);
      }
    };
    interfaces.set(definition.name, '');
    declare(definition.name, definition.fields);
    return describe(definition.fields);
  };

  const requestFields = message(request, false);
  const responseFields = message(response, true);
  const flexible = Number(/^\d+/.exec(request.flexibleVersions)?.[0] ?? Number.POSITIVE_INFINITY);
  return `// Fields and versions as Apache Kafka 4.3.1 defines them. Made by test/protocol-generator.ts: do not edit.
import { api${usesRecords ? ', type Records' : ''} } from '../schema.ts';

${[...interfaces.values()].join('\n')}
export const ${camel(name)} = api<${name}Request, ${name}Response>({
  key: ${request.apiKey},
  name: '${name}',
  versions: [${versions.join(', ')}],
  flexibleSince: ${Number.isFinite(flexible) ? flexible : 'Number.POSITIVE_INFINITY'},
  request: ${requestFields},
  response: ${responseFields},
});
`;
}

if (import.meta.main) {
  const folder = process.argv[2];
  if (folder === undefined) throw new Error('usage: protocol-generator.ts DIR (of Kafka message definitions)');
  const target = join(import.meta.dirname, '..', 'src', 'protocol', 'messages');
  for (const name of apiNames) writeFileSync(join(target, `${kebab(name)}.ts`), generate(folder, name));
  const imports = apiNames.map((name) => `import { ${camel(name)} } from './${kebab(name)}.ts';`).sort();
  const list = apiNames.map((name) => `  ${camel(name)},`);
  writeFileSync(
    join(target, 'index.ts'),
    `// Made by test/protocol-generator.ts: do not edit.\n${imports.join('\n')}\n\n/** Every API that the broker answers. */\nexport const apis = [\n${list.join('\n')}\n] as const;\n`,
  );
}
