// Alerts: one for each group of neighbouring anomalies, to SNS, a webhook or PagerDuty, and always to the log.
import { GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';

/** Alerts that are kept while their channel is down; further ones are in the log only. */
const KEPT_ALERTS = 100;
const SEND_TIMEOUT_MS = 3_000;
/** Groups that are remembered for a topic: partitions that lag behind still find theirs. */
const KEPT_GROUPS = 20;
/** How often a change of the groups that another environment crossed is tried. */
const GROUP_ATTEMPTS = 5;

/**
 * The function that alerts on the anomalies of a batch, given a DynamoDB client for the groups. A channel that is down
 * does not hold up the records: the alert is logged, kept, and sent with a later batch.
 */
export function alertSender(environment, dynamodb) {
  const gapMs = 1_000 * seconds(environment, 'ALERT_GROUP_SECONDS', 900);
  // How long a channel is left alone after it failed.
  const pauseMs = 1_000 * seconds(environment, 'ALERT_RETRY_SECONDS', 10);
  const channels = alertChannels(environment).map((channel) => ({ ...channel, unsent: [], pauseMs, pausedUntil: 0 }));
  const updateGroups = groupStore(environment.ALERT_TABLE, dynamodb);
  return async (anomalies) => {
    for (const [topic, ofTopic] of Map.groupBy(anomalies, (anomaly) => anomaly.topic)) {
      for (const alert of await updateGroups(topic, (groups) => groupAnomalies(ofTopic, groups, gapMs))) {
        console.log(JSON.stringify({ level: 'WARN', message: 'anomaly', ...alert }));
        for (const { unsent } of channels) if (unsent.length < KEPT_ALERTS) unsent.push(alert);
      }
    }
    await Promise.all(channels.map(drain));
  };
}

/**
 * Joins anomalies of a topic with its recent groups, which it changes; an anomaly within `gapMs` of a group's times
 * belongs to it. Answers the alerts on the groups that records of this batch opened: a batch that comes again alerts
 * again, because nobody knows how far the first time got.
 */
function groupAnomalies(anomalies, groups, gapMs) {
  const alerts = new Map();
  const before = structuredClone(groups);
  for (const anomaly of anomalies.toSorted((a, b) => a.time - b.time)) {
    const { topic, partition, offset, time, score } = anomaly;
    const id = `${topic}-${partition}-${offset}`;
    let group = groups.find(({ from, to }) => time >= from - gapMs && time <= to + gapMs);
    if (!group) {
      group = { id, from: time, to: time };
      groups.push(group);
      if (groups.length > KEPT_GROUPS) groups.shift();
    }
    if (group.id === id) alerts.set(group, { id, anomalies: 0, ...anomaly });
    group.from = Math.min(group.from, time);
    group.to = Math.max(group.to, time);
    const alert = alerts.get(group);
    // An alert shows the strongest anomaly that its batch has of the group.
    if (alert) Object.assign(alert, score > alert.score ? anomaly : {}, { anomalies: alert.anomalies + 1 });
  }
  const shown = [...alerts.values()].map((alert) => ({
    summary: summary(alert),
    ...alert,
    time: new Date(alert.time).toISOString(),
  }));
  // A group that grew a little is not worth a write: half a gap may be missing from what others see.
  const isChanged = groups.some(
    ({ id, from, to }, i) => before[i]?.id !== id || before[i].from - from > gapMs / 2 || to - before[i].to > gapMs / 2,
  );
  return { alerts: shown, isChanged };
}

/**
 * Keeps the recent groups of each topic: in the table, which all execution environments share, or without one in this
 * environment. Two that change the groups at once are told apart by a version; the second reads them again. When the
 * table fails, this environment goes on with what it knows: better an alert twice than a batch held up.
 */
function groupStore(tableName, dynamodb) {
  const known = new Map();
  return async (topic, update) => {
    for (let attempt = 1; tableName; attempt += 1) {
      try {
        const Key = { id: { S: topic } };
        const { Item } = await dynamodb.send(new GetItemCommand({ TableName: tableName, Key, ConsistentRead: true }));
        const groups = JSON.parse(Item?.groups.S ?? '[]');
        const version = Number(Item?.version.N ?? 0);
        const { alerts, isChanged } = update(groups);
        if (isChanged) {
          await dynamodb.send(
            new PutItemCommand({
              TableName: tableName,
              Item: { ...Key, groups: { S: JSON.stringify(groups) }, version: { N: String(version + 1) } },
              ConditionExpression: 'attribute_not_exists(id) OR version = :version',
              ExpressionAttributeValues: { ':version': { N: String(version) } },
            }),
          );
        }
        known.set(topic, groups);
        return alerts;
      } catch (error) {
        if (error.name === 'ConditionalCheckFailedException' && attempt < GROUP_ATTEMPTS) continue;
        console.log(JSON.stringify({ level: 'ERROR', message: `the alert table: ${error.message}` }));
        break;
      }
    }
    const groups = known.get(topic) ?? [];
    known.set(topic, groups);
    return update(groups).alerts;
  };
}

/** Sends what a channel is owed, oldest first, until it fails or its time for this batch is up. */
async function drain(channel) {
  const started = Date.now();
  if (started < channel.pausedUntil) return;
  while (channel.unsent.length > 0 && Date.now() - started < SEND_TIMEOUT_MS) {
    try {
      await channel.send(channel.unsent[0]);
      channel.unsent.shift();
    } catch (error) {
      const message = `${channel.name} did not take the alert ${channel.unsent[0].id}: ${error.message}`;
      console.log(JSON.stringify({ level: 'ERROR', message }));
      channel.pausedUntil = Date.now() + channel.pauseMs;
      return;
    }
  }
}

function seconds(environment, name, fallback) {
  const value = Number(environment[name] || fallback);
  if (!(value >= 0)) throw new Error(`${name} must be a number from 0, not ${environment[name]}`);
  return value;
}

function alertChannels(environment) {
  const { ALERT_TOPIC_ARN, ALERT_WEBHOOK_URL, ALERT_FORMAT = 'json', PAGERDUTY_ROUTING_KEY } = environment;
  if (ALERT_FORMAT !== 'json' && ALERT_FORMAT !== 'pagerduty') {
    throw new Error(`ALERT_FORMAT must be json or pagerduty, not ${ALERT_FORMAT}`);
  }
  const channels = [];
  if (ALERT_TOPIC_ARN) channels.push(snsChannel(ALERT_TOPIC_ARN));
  if (ALERT_WEBHOOK_URL) {
    const body =
      ALERT_FORMAT === 'pagerduty' ? (alert) => pagerDutyEvent(alert, PAGERDUTY_ROUTING_KEY) : (alert) => alert;
    channels.push(webhookChannel(ALERT_WEBHOOK_URL, body));
  }
  return channels;
}

const summary = ({ score, source, topic, features }) => {
  const values = Object.entries(features).map(([name, value]) => `${name}=${value}`);
  return `Anomaly ${score.toFixed(2)} in ${topic} (${source}): ${values.join(', ')}`;
};

/** The SDK's module is loaded with the first alert: most invocations never need it. */
function snsChannel(TopicArn) {
  let sns;
  return {
    name: 'SNS',
    send: async (alert) => {
      const { PublishCommand, SNSClient } = await import('@aws-sdk/client-sns');
      sns ??= new SNSClient({ maxAttempts: 2, requestHandler: { requestTimeout: SEND_TIMEOUT_MS } });
      const Subject = alert.summary.replace(/[^\x20-\x7e]/g, '?').slice(0, 100);
      await sns.send(new PublishCommand({ TopicArn, Subject, Message: JSON.stringify(alert) }));
    },
  };
}

function webhookChannel(url, body) {
  return {
    name: 'the webhook',
    send: async (alert) => {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body(alert)),
        signal: AbortSignal.timeout(SEND_TIMEOUT_MS),
      });
      await response.arrayBuffer();
      if (!response.ok) throw new Error(`status ${response.status}`);
    },
  };
}

/** PagerDuty Events API v2: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/ */
function pagerDutyEvent(alert, routingKey = '') {
  return {
    routing_key: routingKey,
    event_action: 'trigger',
    dedup_key: alert.id,
    payload: {
      summary: alert.summary.slice(0, 1_024),
      source: alert.source,
      severity: 'warning',
      timestamp: alert.time,
      component: alert.topic,
      custom_details: alert,
    },
  };
}
