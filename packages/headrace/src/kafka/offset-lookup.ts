import type { Cluster } from './cluster.ts';
import { listOffsets, type OffsetAnswer, type OffsetQuery } from './metadata-requests.ts';
import { brokerError, needsMetadata } from './protocol-errors.ts';

/**
 * Asks the leaders of the partitions for offsets by time (or latest, earliest): one request a leader, answers in the
 * order of the queries.
 *
 * @throws HeadraceError the first error of a partition; what is known of its leaders is then fresh for the next try
 */
export async function lookUpOffsets(
  cluster: Cluster,
  purpose: string,
  queries: readonly OffsetQuery[],
  isolation: 0 | 1,
): Promise<OffsetAnswer[]> {
  const topics = [...new Set(queries.map((query) => query.topic))].sort();
  if (queries.some(({ topic, partition }) => cluster.leaderOf(topic, partition) === undefined)) {
    const answer = await cluster.refresh(topics);
    const missing = answer.topics.find((topic) => topic.error !== 0);
    if (missing !== undefined) throw brokerError(missing.error, `topic ${missing.name}`);
  }
  const byLeader = new Map<number, OffsetQuery[]>();
  for (const query of queries) {
    const leader = cluster.leaderOf(query.topic, query.partition);
    if (leader === undefined) throw brokerError(5, `${query.topic}-${query.partition}`);
    const list = byLeader.get(leader.nodeId);
    if (list === undefined) byLeader.set(leader.nodeId, [query]);
    else list.push(query);
  }
  const answers = (
    await Promise.all(
      [...byLeader].map(async ([nodeId, list]) => {
        const connection = await cluster.connection(nodeId, `${purpose}/control`);
        connection.bestVersion(2, 'ListOffsets', 5, 5);
        return connection.send(listOffsets(list, isolation));
      }),
    )
  ).flat();
  const failed = answers.find((answer) => answer.error !== 0);
  if (failed !== undefined) {
    if (needsMetadata(failed.error)) await cluster.refresh(topics);
    throw brokerError(failed.error, `offsets of ${failed.topic}-${failed.partition}`);
  }
  const found = new Map(answers.map((answer) => [`${answer.topic}/${answer.partition}`, answer]));
  return queries.map(({ topic, partition }) => {
    const answer = found.get(`${topic}/${partition}`);
    if (answer === undefined) throw brokerError(-1, `no offset of ${topic}-${partition} in the answer`);
    return answer;
  });
}
