import { Admin } from '@platformatic/kafka';
import { HeadraceError } from '../errors.ts';

const admin = (bootstrapServers: readonly string[]): Admin =>
  new Admin({
    clientId: 'headrace-demo',
    bootstrapBrokers: [...bootstrapServers],
    connectTimeout: 3000,
    requestTimeout: 10_000,
    retries: 0,
  });

/** Creates the demo's topic. Rejects with KAFKA_UNREACHABLE within about 4 s when nobody answers. */
export async function createTopic(
  bootstrapServers: readonly string[],
  name: string,
  partitions: number,
): Promise<void> {
  const client = admin(bootstrapServers);
  try {
    await client.createTopics({ topics: [name], partitions, replicas: 1 });
  } catch (error) {
    throw new HeadraceError(
      'KAFKA_UNREACHABLE',
      `the topic ${name} cannot be made on ${bootstrapServers.join(',')}: ${rootMessage(error)}`,
      { cause: error },
    );
  } finally {
    await client.close();
  }
}

/** Removes what the demo made on a Kafka that is not its own: the topic and the consumer group. */
export async function removeTopicAndGroup(
  bootstrapServers: readonly string[],
  topic: string,
  group: string,
): Promise<void> {
  const client = admin(bootstrapServers);
  try {
    await client.deleteGroups({ groups: [group] });
  } finally {
    try {
      await client.deleteTopics({ topics: [topic] });
    } finally {
      await client.close();
    }
  }
}

/** The innermost message: the client wraps what the socket said several times. */
function rootMessage(error: unknown): string {
  let current: unknown = error;
  for (let depth = 0; depth < 10; depth += 1) {
    if (current instanceof AggregateError && current.errors.length > 0) current = current.errors.at(-1);
    else if (current instanceof Error && current.cause !== undefined) current = current.cause;
    else break;
  }
  return current instanceof Error ? current.message : String(current);
}
