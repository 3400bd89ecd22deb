import { createKafkaCluster } from '../../packages/headrace/src/kafka/index.ts';

/**
 * Reads a topic to its end without looking at it: what has lain in memory for a minute is slow to read on some virtual
 * machines, and who comes first would pay for all.
 */
export async function readOnce(bootstrapServers: string, topic: string, records: number): Promise<void> {
  const cluster = createKafkaCluster({ bootstrapServers: [bootstrapServers] });
  try {
    await new Promise<void>((resolve, reject) => {
      let seen = 0;
      const reader = cluster.createReader(
        { topics: [topic], start: { kind: 'TRIM_HORIZON' } },
        {
          onAssigned: () => {},
          onStatus: (error) => error !== undefined && reject(error),
          onSkipped: () => {},
          onRecords: () => {
            for (const partition of reader.partitions) {
              for (let chunk = partition.take(); chunk !== undefined; chunk = partition.take()) {
                seen += chunk.count;
                chunk.release();
              }
            }
            if (seen >= records) resolve();
          },
        },
      );
      reader.start();
    });
  } finally {
    await cluster.close();
  }
}
