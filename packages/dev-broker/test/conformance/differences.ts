import type { Difference } from './case.ts';

/** What the dev broker does otherwise than Apache Kafka 4.3.1; the table in the README is made from it. */
export const differences: readonly Difference[] = [
  {
    what: 'Unknown topics',
    kafka: 'created on first use',
    devBroker: 'error, unless `auto.create.topics.enable=true`',
    reason: 'a misspelt topic should fail a test',
  },
  {
    what: 'First member of a group',
    kafka: 'waits 3 s for more',
    devBroker: 'does not wait (`group.initial.rebalance.delay.ms=0`)',
    reason: 'tests should not wait',
  },
  {
    what: 'Copies',
    kafka: 'replicated logs',
    devBroker: 'one log; all nodes show it, every replica is in sync',
    reason: 'one process',
  },
  {
    what: 'Where records lie',
    kafka: 'on disk, in segments of 1 GB',
    devBroker: 'in memory up to `retentionBytes` (also with `dataDir`, which keeps a copy); segments of at most 1 MiB',
    reason: 'starts in milliseconds, fetches without copying',
  },
  {
    what: 'Produced batches',
    kafka: 'every record is checked',
    devBroker: 'header and checksum; records only where the topic is compacted or recompressed',
    reason: 'speed, and no decompression on behalf of a peer',
  },
  {
    what: 'Internal topics',
    kafka: '`__consumer_offsets` and others',
    devBroker: 'none; the state is kept otherwise',
    reason: 'nothing reads them but the broker',
  },
  {
    what: 'ACLs',
    kafka: 'stored and enforced',
    devBroker: 'SECURITY_DISABLED; the `authorize` hook decides',
    reason: 'a function is easier in a test',
  },
  {
    what: 'Topic patterns of members',
    kafka: 'RE2',
    devBroker: 'JavaScript regular expressions, at most 100 ms',
    reason: 'no native code',
  },
  {
    what: 'Ending a transaction',
    kafka: 'markers follow the answer; CONCURRENT_TRANSACTIONS meanwhile',
    devBroker: 'markers are there before the answer',
    reason: 'one process, one log',
  },
  {
    what: 'Broker settings',
    kafka: 'hundreds, many changed while running; synonyms and documentation are told',
    devBroker: 'those of `configs`, read-only, without synonyms and documentation',
    reason: 'only what does something here',
  },
  {
    what: 'Quotas, reassignment, elections, delegation tokens, feature updates, client telemetry, streams groups',
    kafka: 'there',
    devBroker: 'unknown keys; the connection is closed',
    reason: 'no client needs them to produce and consume',
  },
];

/** The table as Markdown. */
export function differencesTable(): string {
  const rows = differences.map(
    ({ what, kafka, devBroker, reason }) => `| ${what} | ${kafka} | ${devBroker} | ${reason} |`,
  );
  return ['| | Apache Kafka | dev broker | why |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
