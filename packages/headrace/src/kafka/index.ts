export { type AccessConfiguration, type ClusterKind, resolveAccess, validateAccess } from './access-configuration.ts';
export { type ClientProperties, parseClientProperties, readClientProperties } from './client-properties.ts';
export { type Hop, walkToCluster, walkToResolved } from './preflight.ts';
export type { PartitionsReader, ReaderListener, ReaderOptions, ReaderPosition } from './reader.ts';
export { describeCluster, hideMembers } from './redaction.ts';
export { environmentName, type SecretResolver, type SecretSources, secretResolver } from './secrets.ts';

import { Cluster, type ClusterOptions } from './cluster.ts';
import type { ClusterConfiguration, ConsumerListener, GroupConsumerOptions, KafkaCluster } from './contract.ts';
import { type GroupProtocol, KafkaGroupConsumer } from './group-consumer.ts';
import { KafkaReader, type PartitionsReader, type ReaderListener, type ReaderOptions } from './reader.ts';

export interface KafkaClusterOptions extends ClusterOptions {
  /** Default 'auto': KIP-848 where the broker has it, else the classic protocol. */
  readonly groupProtocol?: GroupProtocol;
}

/** A cluster that can also be read without a group. */
export interface ReadableCluster extends KafkaCluster {
  createReader(options: ReaderOptions, listener: ReaderListener): PartitionsReader;
}

/**
 * A Kafka cluster to read from. Nothing is connected before it is used; what is wrong with the configuration itself is
 * told at once.
 *
 * @throws HeadraceError CONFIGURATION
 */
export function createKafkaCluster(
  configuration: ClusterConfiguration,
  options: KafkaClusterOptions = {},
): ReadableCluster {
  const cluster = new Cluster(configuration, options);
  const { rackId, isolationLevel } = configuration;
  const defaults = {
    ...(rackId === undefined ? {} : { rackId }),
    ...(isolationLevel === undefined ? {} : { isolationLevel }),
  };
  const consumers = new Set<{ close(): Promise<void> }>();
  return {
    bootstrapServers: configuration.bootstrapServers,
    createGroupConsumer(consumerOptions: GroupConsumerOptions, listener: ConsumerListener): KafkaGroupConsumer {
      const consumer: KafkaGroupConsumer = new KafkaGroupConsumer(
        cluster,
        { ...defaults, ...consumerOptions },
        listener,
        {
          protocol: options.groupProtocol ?? 'auto',
          onClosed: () => consumers.delete(consumer),
        },
      );
      consumers.add(consumer);
      return consumer;
    },
    createReader(readerOptions: ReaderOptions, listener: ReaderListener): PartitionsReader {
      const reader = new KafkaReader(cluster, { ...defaults, ...readerOptions }, listener);
      consumers.add(reader);
      return reader;
    },
    partitionCount: (topic) => cluster.partitionCount(topic),
    async close() {
      await Promise.all([...consumers].map((consumer) => consumer.close()));
      cluster.close();
    },
  };
}
