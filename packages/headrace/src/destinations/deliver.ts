import { randomUUID } from 'node:crypto';
import { HeadraceError } from '../errors.ts';
import type { ClusterConfiguration } from '../kafka/contract.ts';
import type { MappingDefinition } from '../mappings/definition.ts';
import type { Destinations, FailedBatch } from '../mappings/destinations.ts';
import { parseDestination } from './address.ts';
import { type AwsClients, cached } from './aws-clients.ts';
import { batchDocument, objectDocument, objectKey, topicMessages } from './document.ts';
import { KafkaWriter } from './kafka-writer.ts';

export interface DestinationOptions {
  readonly aws: AwsClients;
  /** The cluster that a mapping reads; a `kafka://` destination lies in the same one (spec ESM 10.3). */
  readonly clusterConfiguration: (definition: MappingDefinition) => Promise<ClusterConfiguration>;
}

export interface DeliveringDestinations extends Destinations {
  close(): Promise<void>;
}

/**
 * On-failure destinations of mappings. A delivery that fails rejects; the mapping then keeps the records and calls again
 * (where AWS would drop them, spec ESM 10.4).
 */
export function createDestinations({ aws, clusterConfiguration }: DestinationOptions): DeliveringDestinations {
  const writers = new Map<string, KafkaWriter>();
  return {
    async deliver(batch: FailedBatch) {
      const address = parseDestination(batch.destination);
      switch (address.kind) {
        case 'sqs':
          return await aws.sendMessage(address, JSON.stringify(batchDocument(batch)));
        case 'sns':
          return await aws.publish(address.region, address.topicArn, JSON.stringify(batchDocument(batch)));
        case 's3':
          return await aws.putObject(
            address.bucket,
            objectKey(batch, randomUUID()),
            JSON.stringify(objectDocument(batch)),
          );
        case 'kafka': {
          if (batch.mapping.topics.includes(address.topic)) {
            throw new HeadraceError(
              'CONFIGURATION',
              `${batch.destination} is the topic that the mapping reads: its failures would come back for ever`,
            );
          }
          const configuration = await clusterConfiguration(batch.mapping);
          const writer = cached(writers, batch.mapping.uuid, () => new KafkaWriter(configuration));
          return await writer.write(address.topic, topicMessages(batch));
        }
      }
    },
    async close() {
      await Promise.all([...writers.values()].map((writer) => writer.close()));
    },
  };
}
