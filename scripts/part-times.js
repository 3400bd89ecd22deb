// A reporter for node:test that adds one table after a whole run: what each part of the house took. Two files run at a
// time, so a part alone takes about half of its sum.
import { relative } from 'node:path';
import { root } from './node.js';

/** The first that matches a file's path names its part; the order of the rooms is the reading order of DESIGN.md. */
const parts = [
  ['demo, run, packing', /headrace\/test\/(demo|run|packed|launcher|templates|log-anomaly|naive-handler)/],
  ['broker', /dev-broker\/|kafka-records\/|broker/],
  ['Kafka data path', /headrace\/test\/(kafka\/|clusters)/],
  [
    'failure handling',
    /headrace\/test\/(chaos\/|simulation|destinations|asynchronous|mappings-(settlement|offset|blocked))/,
  ],
  ['mappings', /headrace\/test\/(mappings|metrics|filter-command)/],
  ['functions', /headrace\/test\/(functions\/|logs-api)/],
  ['patterns', /event-pattern\//],
  ['forest, SageMaker', /random-cut-forest\/|headrace\/test\/(sagemaker|anomaly)/],
  ['API, store', /headrace\/test\//],
  ['test tools', /./],
];

export default async function* partTimes(source) {
  const seconds = new Map();
  const files = new Map();
  for await (const { type, data } of source) {
    if (type !== 'test:summary' || data.file === undefined) continue;
    const [part] = parts.find(([, pattern]) => pattern.test(relative(root, data.file)));
    seconds.set(part, (seconds.get(part) ?? 0) + data.duration_ms / 1000);
    files.set(part, (files.get(part) ?? 0) + 1);
  }
  if (files.size < 2) return;
  yield '\nseconds by part, each file on its own clock:\n';
  for (const [part] of parts) {
    if (!files.has(part)) continue;
    yield `  ${part.padEnd(20)}${seconds.get(part).toFixed(0).padStart(5)}  in ${files.get(part)} files\n`;
  }
}
