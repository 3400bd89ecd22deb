import { apiVersions } from '../protocol/messages/api-versions.ts';
import type { Registry } from './registry.ts';

/**
 * Feature levels that clients act on: transactions of version 2 (KIP-890), both newer group protocols. The metadata
 * version is that of Apache Kafka 4.3.
 */
const features = [
  { name: 'group.version', level: 1, minimum: 0, maximum: 1 },
  { name: 'metadata.version', level: 30, minimum: 7, maximum: 30 },
  { name: 'share.version', level: 1, minimum: 0, maximum: 1 },
  { name: 'transaction.version', level: 2, minimum: 0, maximum: 2 },
];

const PRODUCE = 0;

/** The APIs with the versions that the broker speaks. */
export const apiVersionList = (registry: Registry) =>
  [...registry.byKey.values()]
    .map(({ api }) => ({
      apiKey: api.key,
      // librdkafka before 2.8 will not talk to a broker whose Produce begins above 0 (KAFKA-18659).
      minVersion: api.key === PRODUCE ? 0 : api.schema.versions[0],
      maxVersion: api.schema.versions[1],
    }))
    .sort((left, right) => left.apiKey - right.apiKey);

export function registerVersions(registry: Registry): void {
  registry.on(apiVersions, (request, context) => {
    if (context.version >= 3) {
      context.connection.software = `${request.clientSoftwareName} ${request.clientSoftwareVersion}`;
    }
    return {
      errorCode: 0,
      apiKeys: apiVersionList(registry),
      supportedFeatures: features
        .map(({ name, minimum, maximum }) => ({
          name,
          // Version 3 has clients that take 0 for an error (KAFKA-17492): there such features are left out.
          minVersion: minimum,
          maxVersion: maximum,
        }))
        .filter(({ minVersion }) => context.version >= 4 || minVersion > 0),
      finalizedFeaturesEpoch: 1,
      finalizedFeatures: features.map(({ name, level }) => ({ name, maxVersionLevel: level, minVersionLevel: level })),
    };
  });
}
