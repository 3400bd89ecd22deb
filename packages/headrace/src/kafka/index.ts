import { Cluster, type ClusterOptions } from './cluster.ts';
import type { ClusterConfiguration, ConsumerListener, GroupConsumerOptions, KafkaCluster } from './contract.ts';
import { type GroupProtocol, KafkaGroupConsumer } from './group-consumer.ts';

export interface KafkaClusterOptions extends ClusterOptions {
  /** Default 'auto': KIP-848 where the broker has it, else the classic protocol. */
  readonly groupProtocol?: GroupProtocol;
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
): KafkaCluster {
  const cluster = new Cluster(configuration, options);
  const consumers = new Set<KafkaGroupConsumer>();
  return {
    createGroupConsumer(consumerOptions: GroupConsumerOptions, listener: ConsumerListener): KafkaGroupConsumer {
      const consumer: KafkaGroupConsumer = new KafkaGroupConsumer(cluster, consumerOptions, listener, {
        protocol: options.groupProtocol ?? 'auto',
        onClosed: () => consumers.delete(consumer),
      });
      consumers.add(consumer);
      return consumer;
    },
    partitionCount: (topic) => cluster.partitionCount(topic),
    async close() {
      await Promise.all([...consumers].map((consumer) => consumer.close()));
      cluster.close();
    },
  };
}
