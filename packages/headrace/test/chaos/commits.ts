import { RecordCursor } from '@headrace/kafka-records';
import { eventually } from '@headrace/testing';
import { Cluster } from '../../src/kafka/cluster.ts';
import { createKafkaCluster } from '../../src/kafka/index.ts';
import { lookUpOffsets } from '../../src/kafka/offset-lookup.ts';

const TOPIC = '__consumer_offsets';

export interface AcceptedCommit {
  readonly offset: number;
  /** When the broker took it (ms since 1970). */
  readonly at: number;
}

/** By partition name, in the broker's order. */
export type AcceptedCommits = ReadonlyMap<string, readonly AcceptedCommit[]>;

/**
 * What the broker accepted as a group's commits: they are records of `__consumer_offsets`, which has one partition here.
 * A refused commit leaves none.
 */
export async function acceptedCommits(bootstrapServers: string, group: string): Promise<AcceptedCommits> {
  const end = await endOffset(bootstrapServers);
  const commits = new Map<string, AcceptedCommit[]>();
  const cursor = new RecordCursor();
  let position = 0;
  const cluster = createKafkaCluster({ bootstrapServers: [bootstrapServers] });
  const reader = cluster.createReader(
    { topics: [TOPIC], start: { kind: 'TRIM_HORIZON' } },
    {
      onAssigned() {},
      onRecords() {
        for (const partition of reader.partitions) {
          for (let chunk = partition.take(); chunk !== undefined; chunk = partition.take()) {
            for (cursor.reset(chunk); cursor.next(); ) {
              const commit = decode(cursor);
              if (commit === undefined || commit.group !== group) continue;
              const list = commits.get(commit.name);
              const accepted = { offset: commit.offset, at: cursor.timestamp };
              if (list === undefined) commits.set(commit.name, [accepted]);
              else list.push(accepted);
            }
            position = chunk.nextOffset;
            chunk.release();
          }
        }
      },
      onStatus() {},
      onSkipped() {},
    },
  );
  try {
    reader.start();
    await eventually(() => position >= end, { timeoutMs: 30_000, what: () => `${position} of ${end} read` });
  } finally {
    await cluster.close();
  }
  return commits;
}

/** How often a commit went back behind the one before. */
export function commitsBack(commits: AcceptedCommits): number {
  let back = 0;
  for (const list of commits.values())
    for (let i = 1; i < list.length; i++) if (list[i]!.offset < list[i - 1]!.offset) back++;
  return back;
}

/** What was committed of a partition before a moment; 0 where nothing was: the groups here begin at the beginning. */
export function committedBefore(commits: AcceptedCommits, partition: string, at: number): number {
  return commits.get(partition)?.findLast((commit) => commit.at < at)?.offset ?? 0;
}

async function endOffset(bootstrapServers: string): Promise<number> {
  const cluster = new Cluster({ bootstrapServers: [bootstrapServers] });
  try {
    await cluster.refresh([TOPIC]);
    const [found] = await lookUpOffsets(cluster, 'commits', [{ topic: TOPIC, partition: 0, timestamp: -1 }], 0);
    return found!.offset;
  } finally {
    cluster.close();
  }
}

/** Undefined for what is no commit: members, groups, commits that were deleted. */
function decode(cursor: RecordCursor): { group: string; name: string; offset: number } | undefined {
  const { keyStart, keyEnd, valueStart, bytes } = cursor;
  // Key: version (0 or 1: an offset) int16, group and topic as int16 strings, partition int32.
  if (keyStart < 0 || valueStart < 0 || keyEnd - keyStart < 10 || bytes.readInt16BE(keyStart) > 1) return undefined;
  let at = keyStart + 2;
  const string = (): string => {
    const start = at + 2;
    at = start + bytes.readInt16BE(at);
    return bytes.toString('utf8', start, at);
  };
  const group = string();
  const topic = string();
  // Value: version int16, offset int64, …
  return { group, name: `${topic}-${bytes.readInt32BE(at)}`, offset: Number(bytes.readBigInt64BE(valueStart + 2)) };
}
