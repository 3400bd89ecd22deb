import { dirname, resolve as resolvePath } from 'node:path';
import type { CreateTableCommandInput } from '@aws-sdk/client-dynamodb';
import type { CreateEventSourceMappingCommandInput, CreateFunctionCommandInput } from '@aws-sdk/client-lambda';
import { isMap, type TemplateDocument, type TemplateMap, type TemplateResource, templateError } from './document.ts';
import { planMapping } from './event.ts';
import { Resolver } from './intrinsics.ts';
import { Properties } from './properties.ts';

/** One call, or one call a thing, that deploying makes; the same that any client would. */
export type DeployStep =
  | { readonly kind: 'table'; readonly logicalId: string; readonly input: CreateTableCommandInput }
  | {
      readonly kind: 'function';
      readonly logicalId: string;
      readonly input: Omit<CreateFunctionCommandInput, 'Code'>;
      /** Folder whose content is the code package. */
      readonly codeFolder: string;
      readonly reservedConcurrentExecutions: number | undefined;
    }
  | { readonly kind: 'mapping'; readonly logicalId: string; readonly input: CreateEventSourceMappingCommandInput };

export interface DeployPlan {
  /** Tables, then functions, then mappings. */
  readonly steps: readonly DeployStep[];
  /** What the template says and this machine does not need: roles, policies. */
  readonly remarks: readonly string[];
  readonly outputs: Readonly<Record<string, string>>;
}

export interface PlanOptions {
  /** Path of the template; `CodeUri` is relative to it. */
  readonly templateFile: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly region: string;
  readonly accountId: string;
  readonly stackName: string;
}

const role = (accountId: string): string => `arn:aws:iam::${accountId}:role/headrace`;

/** What deploying this template would do. Pure; throws TEMPLATE naming resource and property for what is not supported. */
export function planTemplate(document: TemplateDocument, options: PlanOptions): DeployPlan {
  const names = new Map<string, string>();
  const resolver: Resolver = new Resolver(document, {
    ...options,
    reference: (logicalId) => physicalName(document.resources[logicalId]!, resolver, names),
    attribute: (logicalId, attribute) => {
      const resource = document.resources[logicalId]!;
      const name = physicalName(resource, resolver, names);
      if (attribute !== 'Arn') return undefined;
      if (resource.type === 'AWS::Serverless::Function')
        return `arn:aws:lambda:${options.region}:${options.accountId}:function:${name}`;
      if (isTable(resource)) return `arn:aws:dynamodb:${options.region}:${options.accountId}:table/${name}`;
      return undefined;
    },
  });
  const remarks: string[] = [];
  const steps: DeployStep[] = [];
  for (const resource of Object.values(document.resources)) {
    if (resource.condition !== undefined && !resolver.condition(resource.condition)) continue;
    if (isTable(resource)) steps.push(planTable(resource, resolver, names));
    else if (resource.type === 'AWS::Serverless::Function')
      steps.push(...planFunction(document, resource, resolver, options, names, remarks));
    else throw templateError(`${resource.logicalId}: the type ${resource.type} is not supported yet`);
  }
  const order = { table: 0, function: 1, mapping: 2 };
  steps.sort((a, b) => order[a.kind] - order[b.kind]);
  const outputs: Record<string, string> = {};
  for (const [name, output] of Object.entries(document.outputs)) {
    if (!isMap(output)) throw templateError(`Outputs.${name}: must be a map`);
    const condition = output['Condition'];
    if (typeof condition === 'string' && !resolver.condition(condition)) continue;
    const properties = new Properties(resolver.resolveMap(output, `Outputs.${name}`), `Outputs.${name}`);
    outputs[name] = properties.requiredString('Value');
  }
  return { steps, remarks, outputs };
}

const isTable = (resource: TemplateResource): boolean =>
  resource.type === 'AWS::Serverless::SimpleTable' || resource.type === 'AWS::DynamoDB::Table';

/** The name given, else the logical id: predictable, where CloudFormation adds random letters. */
function physicalName(resource: TemplateResource, resolver: Resolver, names: Map<string, string>): string {
  const known = names.get(resource.logicalId);
  if (known !== undefined) return known;
  const property = isTable(resource) ? 'TableName' : 'FunctionName';
  const given = resource.properties[property];
  names.set(resource.logicalId, resource.logicalId); // a name that refers to itself ends here
  const name = given === undefined ? resource.logicalId : resolver.resolve(given, `${resource.logicalId}.${property}`);
  if (typeof name !== 'string') throw templateError(`${resource.logicalId}.${property} must be a text`);
  names.set(resource.logicalId, name);
  return name;
}

function planTable(resource: TemplateResource, resolver: Resolver, names: Map<string, string>): DeployStep {
  const { logicalId } = resource;
  const properties = new Properties(resolver.resolveMap(resource.properties, logicalId), logicalId);
  properties.ignore(
    'TableName',
    'Tags',
    'SSESpecification',
    'PointInTimeRecoverySpecification',
    'ProvisionedThroughput',
  );
  const name = physicalName(resource, resolver, names);
  const base = { TableName: name, BillingMode: 'PAY_PER_REQUEST' as const };
  if (resource.type === 'AWS::Serverless::SimpleTable') {
    const key = properties.nested('PrimaryKey');
    const attribute = key?.string('Name') ?? 'id';
    const types: Record<string, 'S' | 'N' | 'B'> = { String: 'S', Number: 'N', Binary: 'B' };
    const type = types[key?.string('Type') ?? 'String'];
    if (type === undefined) throw templateError(`${logicalId}.PrimaryKey.Type must be String, Number or Binary`);
    key?.finish();
    properties.finish();
    const input: CreateTableCommandInput = {
      ...base,
      AttributeDefinitions: [{ AttributeName: attribute, AttributeType: type }],
      KeySchema: [{ AttributeName: attribute, KeyType: 'HASH' }],
    };
    return { kind: 'table', logicalId, input };
  }
  properties.ignore('BillingMode', 'TimeToLiveSpecification', 'DeletionProtectionEnabled', 'TableClass');
  const definitions = properties.list('AttributeDefinitions');
  const schema = properties.list('KeySchema');
  if (!definitions || !schema) throw templateError(`${logicalId}: AttributeDefinitions and KeySchema are needed`);
  const pairs = (list: typeof schema, second: string): { name: string; value: string }[] =>
    list.map((each, index) => {
      if (!isMap(each)) throw templateError(`${logicalId}: entry ${index} must be a map`);
      const entry = new Properties(each, logicalId);
      const pair = { name: entry.requiredString('AttributeName'), value: entry.requiredString(second) };
      entry.finish();
      return pair;
    });
  const input: CreateTableCommandInput = {
    ...base,
    AttributeDefinitions: pairs(definitions, 'AttributeType').map(({ name: AttributeName, value }) => ({
      AttributeName,
      AttributeType: value as 'S' | 'N' | 'B',
    })),
    KeySchema: pairs(schema, 'KeyType').map(({ name: AttributeName, value }) => ({
      AttributeName,
      KeyType: value as 'HASH' | 'RANGE',
    })),
  };
  properties.finish();
  return { kind: 'table', logicalId, input };
}

function planFunction(
  document: TemplateDocument,
  resource: TemplateResource,
  resolver: Resolver,
  options: PlanOptions,
  names: Map<string, string>,
  remarks: string[],
): DeployStep[] {
  const { logicalId } = resource;
  const globals = document.globals['Function'] ?? {};
  if (!isMap(globals)) throw templateError('Globals.Function must be a map');
  const merged = resolver.resolveMap(mergeGlobals(globals, resource.properties), logicalId);
  const properties = new Properties(merged, logicalId);
  for (const unneeded of ['Role', 'Policies', 'VpcConfig', 'PermissionsBoundary', 'Tags']) {
    if (merged[unneeded] !== undefined) remarks.push(`${logicalId}.${unneeded} is not needed here`);
    properties.ignore(unneeded);
  }
  properties.ignore('FunctionName');
  const name = physicalName(resource, resolver, names);
  const environment = properties.nested('Environment');
  const variables = environment?.texts('Variables');
  environment?.finish();
  const logging = properties.nested('LoggingConfig');
  const ephemeral = properties.nested('EphemeralStorage');
  const tracing = properties.string('Tracing');
  const packageType = properties.string('PackageType');
  if (packageType !== undefined && packageType !== 'Zip')
    throw templateError(`${logicalId}.PackageType ${packageType} is not supported yet`);
  const codeUri = properties.string('CodeUri') ?? '.';
  if (codeUri.startsWith('s3://')) throw templateError(`${logicalId}.CodeUri: S3 is not supported yet`);
  const step: DeployStep = {
    kind: 'function',
    logicalId,
    codeFolder: resolvePath(dirname(options.templateFile), codeUri),
    reservedConcurrentExecutions: properties.integer('ReservedConcurrentExecutions'),
    input: {
      FunctionName: name,
      Role: role(options.accountId),
      Runtime: properties.requiredString('Runtime') as NonNullable<CreateFunctionCommandInput['Runtime']>,
      Handler: properties.requiredString('Handler'),
      Description: properties.string('Description'),
      Timeout: properties.integer('Timeout'),
      MemorySize: properties.integer('MemorySize'),
      Architectures: properties.strings('Architectures') as CreateFunctionCommandInput['Architectures'],
      ...(variables ? { Environment: { Variables: variables } } : {}),
      ...(tracing && tracing !== 'Disabled' ? { TracingConfig: { Mode: tracing as 'Active' | 'PassThrough' } } : {}),
      ...(ephemeral ? { EphemeralStorage: { Size: ephemeral.integer('Size') } } : {}),
      ...(logging
        ? {
            LoggingConfig: {
              LogFormat: logging.string('LogFormat') as 'Text' | 'JSON' | undefined,
              ApplicationLogLevel: logging.string('ApplicationLogLevel') as 'INFO' | undefined,
              SystemLogLevel: logging.string('SystemLogLevel') as 'INFO' | undefined,
              LogGroup: logging.string('LogGroup'),
            },
          }
        : {}),
    },
  };
  logging?.finish();
  ephemeral?.finish();
  const events = properties.map('Events') ?? {};
  properties.finish();
  const mappings = Object.entries(events).map(([eventName, event]): DeployStep => {
    const place = `${logicalId}.Events.${eventName}`;
    if (!isMap(event)) throw templateError(`${place} must be a map`);
    return { kind: 'mapping', logicalId: `${logicalId}${eventName}`, input: planMapping(event, place, name) };
  });
  return [step, ...mappings];
}

/** SAM's rule: scalars: the resource wins; maps: merged deeply; lists: global first (spec 7.5). */
function mergeGlobals(globals: TemplateMap, own: TemplateMap): TemplateMap {
  const merged: Record<string, TemplateMap[string]> = { ...globals };
  for (const [key, value] of Object.entries(own)) {
    const before = merged[key];
    if (isMap(before) && isMap(value)) merged[key] = mergeGlobals(before, value);
    else if (Array.isArray(before) && Array.isArray(value)) merged[key] = [...before, ...value];
    else merged[key] = value;
  }
  return merged;
}
