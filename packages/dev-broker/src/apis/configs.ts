import type { Authorizer } from '../authorize.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Topic } from '../cluster/topic.ts';
import {
  type ConfigDefinition,
  ConfigType,
  checkConfig,
  groupConfigs,
  topicConfigs,
} from '../cluster/topic-configs.ts';
import { ErrorCode, RequestError } from '../protocol/errors.ts';
import { alterConfigs } from '../protocol/messages/alter-configs.ts';
import { type DescribeConfigsResourceResult, describeConfigs } from '../protocol/messages/describe-configs.ts';
import { incrementalAlterConfigs } from '../protocol/messages/incremental-alter-configs.ts';
import { listConfigResources } from '../protocol/messages/list-config-resources.ts';
import type { Registry, RequestContext } from './registry.ts';
import { attempt } from './topics.ts';

export interface ConfigServices {
  cluster: Cluster;
  authorizer: Authorizer;
  /** Configs of consumer and share groups, as set, by group. */
  groupConfigs: Map<string, Map<string, string>>;
  /** A node's own settings, read-only. */
  brokerConfigs: ReadonlyMap<string, string>;
  groupConfigChanged(group: string): void;
}

const ResourceType = { TOPIC: 2, BROKER: 4, CLIENT_METRICS: 16, GROUP: 32 } as const;
const Source = { TOPIC: 1, STATIC_BROKER: 4, DEFAULT: 5, GROUP: 8 } as const;
const AlterOperation = { SET: 0, DELETE: 1, APPEND: 2, SUBTRACT: 3 } as const;

type DescribedConfig = DescribeConfigsResourceResult & {
  isDefault: boolean;
  source: number;
};

function describeValues(
  definitions: Readonly<Record<string, ConfigDefinition>>,
  values: ReadonlyMap<string, string>,
  names: readonly string[],
  source: number,
): DescribedConfig[] {
  return names
    .filter((name) => definitions[name] !== undefined)
    .map((name) => {
      const definition = definitions[name]!;
      const value = values.get(name);
      const fallback = { name, value: definition.default, source: Source.DEFAULT };
      return {
        name,
        value: value ?? definition.default,
        readOnly: false,
        isDefault: value === undefined,
        configSource: value === undefined ? Source.DEFAULT : source,
        source,
        isSensitive: false,
        synonyms: value === undefined ? [fallback] : [{ name, value, source }, fallback],
        configType: ConfigType[definition.type],
        documentation: null,
      };
    });
}

export const describeTopicConfigs = (topic: Topic, names: readonly string[]): DescribedConfig[] =>
  describeValues(topicConfigs, topic.configs, names, Source.TOPIC);

/** Where an alteration goes: what is set now, and how to set it. */
interface Target {
  definitions: Readonly<Record<string, ConfigDefinition>>;
  values: ReadonlyMap<string, string>;
  set(name: string, value: string | undefined): void;
}

export function registerConfigs(registry: Registry, services: ConfigServices): void {
  const { cluster, authorizer } = services;

  registry.on(describeConfigs, (request, context) => ({
    results: request.resources.map(({ resourceType, resourceName, configurationKeys }) => {
      let configs: DescribedConfig[] = [];
      const result = attempt(() => {
        if (resourceType === ResourceType.TOPIC) {
          const topic = cluster.topics.get(resourceName);
          if (!topic)
            throw new RequestError('UNKNOWN_TOPIC_OR_PARTITION', `This server does not host topic ${resourceName}`);
          if (!authorizer.allows(context, 'DESCRIBE_CONFIGS', 'TOPIC', resourceName)) {
            throw new RequestError('TOPIC_AUTHORIZATION_FAILED');
          }
          configs = describeTopicConfigs(topic, configurationKeys ?? Object.keys(topicConfigs));
        } else if (resourceType === ResourceType.GROUP) {
          const values = services.groupConfigs.get(resourceName) ?? new Map<string, string>();
          configs = describeValues(groupConfigs, values, configurationKeys ?? Object.keys(groupConfigs), Source.GROUP);
        } else if (resourceType === ResourceType.BROKER) {
          configs = describeBroker(services, resourceName, configurationKeys);
        } else if (resourceType !== ResourceType.CLIENT_METRICS) {
          throw new RequestError('INVALID_REQUEST', `Unsupported resource type ${resourceType}`);
        }
      });
      const described = configs.map((config) => ({
        ...config,
        synonyms: request.includeSynonyms ? (config.synonyms ?? []) : [],
        configSource: config.configSource ?? Source.DEFAULT,
      }));
      return { ...result, resourceType, resourceName, configs: described };
    }),
  }));

  const targetOf = (type: number, name: string, context: RequestContext): Target => {
    if (type === ResourceType.TOPIC) {
      const topic = cluster.topics.get(name);
      if (!topic) throw new RequestError('UNKNOWN_TOPIC_OR_PARTITION', `The topic '${name}' does not exist.`);
      if (!authorizer.allows(context, 'ALTER_CONFIGS', 'TOPIC', name))
        throw new RequestError('TOPIC_AUTHORIZATION_FAILED');
      return {
        definitions: topicConfigs,
        values: topic.configs,
        set: (key, value) => cluster.setConfig(topic, key, value),
      };
    }
    if (type === ResourceType.GROUP) {
      if (name === '') throw new RequestError('INVALID_REQUEST', 'Default group resources are not allowed.');
      const values = services.groupConfigs.get(name) ?? new Map<string, string>();
      return {
        definitions: groupConfigs,
        values,
        set: (key, value) => {
          services.groupConfigs.set(name, values);
          if (value === undefined) values.delete(key);
          else values.set(key, value);
          services.groupConfigChanged(name);
        },
      };
    }
    throw new RequestError('INVALID_REQUEST', `Configs of resource type ${type} cannot be altered in this broker`);
  };

  registry.on(incrementalAlterConfigs, (request, context) => ({
    responses: request.resources.map(({ resourceType, resourceName, configs }) => ({
      resourceType,
      resourceName,
      ...attempt(() => {
        const target = targetOf(resourceType, resourceName, context);
        // All or nothing: every new value is checked before the first is set.
        const changes = configs.map(({ name, configOperation, value }) => {
          const next = alteredValue(target, name, configOperation, value);
          if (next !== undefined) checkConfig(target.definitions, name, next);
          else if (!target.definitions[name]) throw new RequestError('INVALID_CONFIG', `Unknown config name: ${name}`);
          return [name, next] as const;
        });
        if (!request.validateOnly) for (const [name, value] of changes) target.set(name, value);
      }),
    })),
  }));

  registry.on(alterConfigs, (request, context) => ({
    responses: request.resources.map(({ resourceType, resourceName, configs }) => ({
      resourceType,
      resourceName,
      ...attempt(() => {
        const target = targetOf(resourceType, resourceName, context);
        for (const { name, value } of configs) checkConfig(target.definitions, name, value ?? '');
        if (request.validateOnly) return;
        for (const name of [...target.values.keys()]) target.set(name, undefined);
        for (const { name, value } of configs) target.set(name, value ?? '');
      }),
    })),
  }));

  registry.on(listConfigResources, (request) => {
    const types = request.resourceTypes.length > 0 ? request.resourceTypes : Object.values(ResourceType);
    const named: { resourceName: string; resourceType: number }[] = [];
    for (const resourceType of types) {
      if (resourceType === ResourceType.TOPIC) {
        for (const name of cluster.topics.keys()) named.push({ resourceName: name, resourceType });
      } else if (resourceType === ResourceType.BROKER) {
        for (const node of cluster.nodes) named.push({ resourceName: String(node.id), resourceType });
      } else if (resourceType === ResourceType.GROUP) {
        for (const name of services.groupConfigs.keys()) named.push({ resourceName: name, resourceType });
      } else if (resourceType !== ResourceType.CLIENT_METRICS) {
        return { errorCode: ErrorCode.UNSUPPORTED_VERSION, configResources: [] };
      }
    }
    return { errorCode: 0, configResources: named };
  });
}

function describeBroker(services: ConfigServices, name: string, keys: readonly string[] | null): DescribedConfig[] {
  if (name !== '' && !services.cluster.nodes.some(({ id }) => String(id) === name)) {
    throw new RequestError('INVALID_REQUEST', `Unexpected broker id ${name}`);
  }
  // The empty name asks for what was set for all brokers together: nothing ever is.
  if (name === '') return [];
  const configs = new Map([...services.brokerConfigs, ['node.id', name], ['broker.id', name]]);
  return [...configs]
    .filter(([key]) => keys === null || keys.includes(key))
    .map(([key, value]) => ({
      name: key,
      value,
      readOnly: true,
      isDefault: false,
      configSource: Source.STATIC_BROKER,
      source: Source.STATIC_BROKER,
      isSensitive: false,
      synonyms: [{ name: key, value, source: Source.STATIC_BROKER }],
      configType: ConfigType.STRING,
      documentation: null,
    }));
}

function alteredValue(target: Target, name: string, operation: number, value: string | null): string | undefined {
  if (operation === AlterOperation.DELETE) return undefined;
  if (value === null) throw new RequestError('INVALID_REQUEST', `Null value not supported for : ${name}`);
  if (operation === AlterOperation.SET) return value;
  const definition = target.definitions[name];
  if (definition?.type !== 'LIST') {
    throw new RequestError('INVALID_CONFIG', `Config value append or subtract is not allowed for config key: ${name}`);
  }
  const current = (target.values.get(name) ?? definition.default).split(',').filter((item) => item !== '');
  const given = value.split(',');
  const next =
    operation === AlterOperation.APPEND
      ? [...current, ...given.filter((item) => !current.includes(item))]
      : current.filter((item) => !given.includes(item));
  return next.join(',');
}
