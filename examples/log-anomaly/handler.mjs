// Scores the records of a Kafka event with Random Cut Forest, stores every record, and alerts on anomalies.
// The same code runs on AWS (SageMaker, DynamoDB, SNS) and under Headrace; handler.py does the same in Python.
//
// Delivery is at-least-once, so everything here may happen twice to a record: the endpoint is told topic, partition and
// offset and learns a record once, and the item's key is made of them, so a repetition overwrites itself. When model or
// table fail, the handler fails, and the whole batch comes again.
import { BatchWriteItemCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { alertSender } from './alerts.mjs';

const number = (name, fallback) => {
  const value = Number(process.env[name] || fallback);
  if (!Number.isFinite(value)) throw new Error(`${name} must be a number, not ${process.env[name]}`);
  return value;
};

const tableName = process.env.TABLE_NAME;
if (!tableName) throw new Error('TABLE_NAME must name the DynamoDB table');
const endpointName = process.env.ENDPOINT_NAME || 'rcf-anomaly-endpoint';
const threshold = number('ANOMALY_THRESHOLD', 3);
const features = parseFeatures(process.env.ANOMALY_FEATURES || 'responseTimeMs,status,bytes');

// A peer that is down shall fail the invocation well before the function's own timeout.
const requestHandler = { connectionTimeout: 2_000, requestTimeout: 15_000 };
const model = new SageMakerRuntimeClient({ requestHandler });
const dynamodb = new DynamoDBClient({ requestHandler });
const sendAlerts = alertSender(process.env, dynamodb);

/** Limits of the services, with room to spare: an item has 400 KB, a header 1,024 characters. */
const MAXIMUM_RECORD_BYTES = 300 * 1024;
const MAXIMUM_ATTRIBUTES = 1_024;
const MAXIMUM_VALUE = 1e30;
const BATCH_WRITE_ITEMS = 25;
const PARALLEL_WRITES = 4;
const WRITE_ATTEMPTS = 8;

export const handler = async (event) => {
  const records = Object.values(event.records).flat().map(read);
  const scorable = records.filter((record) => record.values);
  if (scorable.length > 0) await score(scorable);
  await store(records.map(toItem));
  const anomalies = scorable.filter((record) => record.score > threshold);
  await sendAlerts(anomalies.map(toAnomaly));
  const highestScore = scorable.reduce((highest, record) => Math.max(highest, record.score), 0);
  return { records: records.length, scored: scorable.length, anomalous: anomalies.length, highestScore };
};

/** `"responseTimeMs, window.errors*100"`: fields of the JSON record, by dots, each with a weight (1 by default). */
function parseFeatures(text) {
  return text.split(',').map((feature) => {
    const [name, weight = '1'] = feature.split('*').map((part) => part.trim());
    if (!name || weight === '' || !Number.isFinite(Number(weight))) {
      throw new Error(`ANOMALY_FEATURES must hold FIELD or FIELD*WEIGHT, not "${feature.trim()}"`);
    }
    return { name, path: name.split('.'), weight: Number(weight) };
  });
}

/** A record of the event, decoded. One that cannot be scored has a `problem` in place of `values`; it is stored too. */
function read({ topic, partition, offset, timestamp, value }) {
  const record = { topic, partition, offset, timestamp, source: topic };
  record.bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : null;
  if (!record.bytes) return { ...record, problem: 'the record has no value' };
  let log;
  try {
    record.text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(record.bytes);
    log = JSON.parse(record.text);
  } catch {
    return { ...record, problem: record.text === undefined ? 'the value is not UTF-8' : 'the value is not JSON' };
  }
  if (log === null || typeof log !== 'object' || Array.isArray(log)) {
    return { ...record, problem: 'the value is not a JSON object' };
  }
  if (typeof log.source === 'string' && log.source)
    record.source = [...log.source.toWellFormed()].slice(0, 256).join('');
  record.time = eventTime(log.timestamp) ?? timestamp;
  const values = [];
  const named = {};
  for (const { name, path, weight } of features) {
    const raw = path.reduce((object, field) => (Object.hasOwn(Object(object), field) ? object[field] : undefined), log);
    if (typeof raw !== 'number') return { ...record, problem: `${name} is not a number` };
    if (!(Math.abs(raw * weight) <= MAXIMUM_VALUE)) return { ...record, problem: `${name} is out of range` };
    values.push(raw * weight);
    named[name] = raw;
  }
  return { ...record, values, named };
}

/** The record's own time, in milliseconds: ISO 8601 with a time zone, or milliseconds since the epoch. */
function eventTime(timestamp) {
  if (typeof timestamp === 'number' && Number.isFinite(timestamp)) return Math.trunc(timestamp);
  const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$/;
  if (typeof timestamp !== 'string' || !iso.test(timestamp)) return undefined;
  const time = Date.parse(timestamp);
  return Number.isNaN(time) ? undefined : time;
}

/** Gives each record its score: one request, unless the list of its offsets is longer than a header may be. */
async function score(records) {
  const attributes = `topic=${records[0].topic};offsets=${offsetsOf(records)}`;
  const oneTopic = records.every((record) => record.topic === records[0].topic);
  if (records.length > 1 && (!oneTopic || attributes.length > MAXIMUM_ATTRIBUTES)) {
    const half = oneTopic ? records.length >> 1 : records.findIndex((record) => record.topic !== records[0].topic);
    await score(records.slice(0, half));
    return score(records.slice(half));
  }
  const response = await model.send(
    new InvokeEndpointCommand({
      EndpointName: endpointName,
      ContentType: 'application/json',
      Accept: 'application/json',
      CustomAttributes: attributes,
      Body: JSON.stringify({ instances: records.map(({ values }) => ({ features: values })) }),
    }),
  );
  const { scores } = JSON.parse(new TextDecoder().decode(response.Body));
  if (scores.length !== records.length) {
    throw new Error(`the endpoint gave ${scores.length} scores to ${records.length} records`);
  }
  for (const [i, record] of records.entries()) record.score = scores[i].score;
}

/** `0:100-149,155,2:77`: the offsets of the records in their order, as docs/sagemaker-endpoint.md defines them. */
function offsetsOf(records) {
  const items = [];
  let partition;
  for (let i = 0; i < records.length; ) {
    const first = records[i];
    let last = i;
    while (records[last + 1]?.partition === first.partition && records[last + 1].offset === records[last].offset + 1) {
      last += 1;
    }
    const prefix = first.partition === partition ? '' : `${first.partition}:`;
    items.push(`${prefix}${first.offset}${last > i ? `-${records[last].offset}` : ''}`);
    partition = first.partition;
    i = last + 1;
  }
  return items.join(',');
}

function toItem(record) {
  const item = {
    id: { S: `${record.topic}-${record.partition}-${record.offset}` },
    topic: { S: record.topic },
    partition: { N: String(record.partition) },
    offset: { N: String(record.offset) },
    timestamp: { N: String(record.timestamp) },
    source: { S: record.source },
    anomalous: { BOOL: record.score > threshold },
    stored_at: { N: String(Date.now()) },
  };
  if (record.problem) item.problem = { S: record.problem };
  else item.rcf_score = { N: String(record.score) };
  if (!record.bytes) item.record = { NULL: true };
  else if (record.bytes.length > MAXIMUM_RECORD_BYTES) {
    item.record = { B: record.bytes.subarray(0, MAXIMUM_RECORD_BYTES) };
    item.truncated = { BOOL: true };
  } else item.record = record.text === undefined ? { B: record.bytes } : { S: record.text };
  return item;
}

/** Writes the items, 25 a request and four requests at a time. */
async function store(items) {
  const batches = [];
  for (let i = 0; i < items.length; i += BATCH_WRITE_ITEMS) batches.push(items.slice(i, i + BATCH_WRITE_ITEMS));
  const writer = async () => {
    for (let batch = batches.shift(); batch; batch = batches.shift()) await write(batch);
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL_WRITES, batches.length) }, writer));
}

/** DynamoDB may take a part and give back the rest; that is tried again, with growing pauses. */
async function write(items) {
  let requests = items.map((Item) => ({ PutRequest: { Item } }));
  for (let attempt = 0; attempt < WRITE_ATTEMPTS; attempt += 1) {
    if (attempt > 0) await new Promise((resolve) => setTimeout(resolve, 25 * 2 ** attempt * (0.5 + Math.random())));
    const answer = await dynamodb.send(new BatchWriteItemCommand({ RequestItems: { [tableName]: requests } }));
    requests = answer.UnprocessedItems?.[tableName] ?? [];
    if (requests.length === 0) return;
  }
  throw new Error(`DynamoDB left ${requests.length} items unprocessed after ${WRITE_ATTEMPTS} attempts`);
}

function toAnomaly({ topic, partition, offset, source, time, score, named, text }) {
  return { topic, partition, offset, source, time, score, threshold, features: named, record: text.slice(0, 1_000) };
}
