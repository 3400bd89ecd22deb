import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import { after, before, describe, test } from 'node:test';
import { type Kafka, needs, startKafka } from '@headrace/testing';
import { type Broker, type RequestMessage, startBroker } from '../../src/index.ts';
import type { Case, Target } from './case.ts';
import { clientCases } from './client-cases.ts';
import { clientVersions } from './client-versions.ts';
import { consumerGroupCases } from './consumer-group-cases.ts';
import { foreignCases } from './foreign-cases.ts';
import { groupCases } from './group-cases.ts';
import { logCases } from './log-cases.ts';
import { mixedGroupCases } from './mixed-group-cases.ts';
import { shareGroupCases } from './share-group-cases.ts';
import { topicCases } from './topic-cases.ts';
import { transactionCases } from './transaction-cases.ts';
import { versionCases } from './version-cases.ts';

const cases: Case[] = [
  ...versionCases,
  ...logCases,
  ...topicCases,
  ...groupCases,
  ...transactionCases,
  ...consumerGroupCases,
  ...mixedGroupCases,
  ...shareGroupCases,
  ...clientCases,
  ...foreignCases,
];
const withoutJava = needs('java', 'maven');

/** Versions by API that the suite's clients used on the dev broker. */
const reached = new Map<string, Set<number>>();
subscribe('headrace:dev-broker:request', (message) => {
  const { api, version } = message as RequestMessage;
  reached.set(api, (reached.get(api) ?? new Set()).add(version));
});

let lastName = 0;
const name = (prefix: string): string => `${prefix}-${++lastName}`;

describe('the same promises hold on', { concurrency: 2 }, () => {
  let kafka: Kafka | undefined;
  let broker: Broker | undefined;
  before(async () => {
    broker = await startBroker({ configs: { 'group.min.session.timeout.ms': 1000 } });
    if (withoutJava === false) kafka = await startKafka();
  });
  after(async () => {
    await broker?.stop();
    await kafka?.stop();
    const list = [...reached]
      .map(([api, versions]) => `${api} ${[...versions].sort((a, b) => a - b).join(' ')}`)
      .sort();
    console.log(`${list.length} APIs reached: ${list.join(', ')}`);
  });

  const javaTool: Target['javaTool'] = (className, args) => kafka!.javaTool(className, args, { timeoutMs: 200_000 });
  const targets: [string, () => Target, string | false][] = [
    [
      'the dev broker',
      () => ({ kind: 'dev-broker', bootstrapServers: broker!.bootstrapServers, javaTool, name }),
      false,
    ],
    ['Apache Kafka', () => ({ kind: 'kafka', bootstrapServers: kafka!.bootstrapServers, javaTool, name }), withoutJava],
  ];
  for (const [title, target, skip] of targets) {
    describe(title, { skip }, () => {
      for (const { name: promise, run, needs: needed = [] } of cases) {
        test(promise, { skip: needs(...needed), timeout: 240_000 }, () => run(target()));
      }
    });
  }
});

test('the suite has reached every key and version that clients use', () => {
  const missed = Object.entries(clientVersions).flatMap(([api, versions]) =>
    versions.filter((version) => !reached.get(api)?.has(version)).map((version) => `${api} ${version}`),
  );
  assert.deepEqual(missed, []);
});
