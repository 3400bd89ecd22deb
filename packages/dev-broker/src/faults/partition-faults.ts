import type { RequestContext } from '../apis/registry.ts';

/** What handlers ask before they do something for one partition. */
export interface PartitionFaults {
  /** @throws RequestError where a test wants this partition to fail; `partition` -1 stands for the topic as a whole */
  checkPartition(context: RequestContext, topic: string, partition: number): void;
}
