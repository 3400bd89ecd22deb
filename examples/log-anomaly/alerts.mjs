// Alerts: one for each group of neighbouring anomalies, to SNS, a webhook or PagerDuty, and always to the log.

/** Alerts that are kept while their channel is down; further ones are in the log only. */
const KEPT_ALERTS = 100;
const SEND_TIMEOUT_MS = 3_000;

/**
 * The function that alerts on the anomalies of a batch. Its memory of the running group lives as long as the execution
 * environment. A channel that is down does not hold up the records: the alert is logged, kept, and sent with a later
 * batch.
 */
export function alertSender(environment) {
  const gapMs = 1_000 * seconds(environment, 'ALERT_GROUP_SECONDS', 900);
  // How long a channel is left alone after it failed.
  const pauseMs = 1_000 * seconds(environment, 'ALERT_RETRY_SECONDS', 10);
  const channels = alertChannels(environment).map((channel) => ({ ...channel, unsent: [], pauseMs, pausedUntil: 0 }));
  const groups = new Map();
  return async (anomalies) => {
    for (const alert of groupAnomalies(anomalies, groups, gapMs)) {
      console.log(JSON.stringify({ level: 'WARN', message: 'anomaly', ...alert }));
      for (const { unsent } of channels) if (unsent.length < KEPT_ALERTS) unsent.push(alert);
    }
    await Promise.all(channels.map(drain));
  };
}

function seconds(environment, name, fallback) {
  const value = Number(environment[name] || fallback);
  if (!(value >= 0)) throw new Error(`${name} must be a number from 0, not ${environment[name]}`);
  return value;
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

/** Offsets of one partition that count as neighbours however far apart their times are. */
const NEIGHBOURING_OFFSETS = 5;

/**
 * One alert for each group that begins in this batch. An anomaly belongs to the running group of its topic when its time
 * is within `gapMs` of the group's, or its offset close behind the last one of its partition.
 */
function groupAnomalies(anomalies, groups, gapMs) {
  const alerts = [];
  for (const anomaly of anomalies.toSorted((a, b) => a.time - b.time)) {
    const { topic, partition, offset, time, score } = anomaly;
    let group = groups.get(topic);
    const distance = group && Math.abs(offset - (group.offsets.get(partition) ?? Number.NEGATIVE_INFINITY));
    const isNear = group && time >= group.from - gapMs && time <= group.to + gapMs;
    if (!isNear && !(distance <= NEIGHBOURING_OFFSETS)) {
      const id = `${topic}-${partition}-${offset}`;
      // Environments know nothing of each other. Alerts on one incident mostly get the same name of their group from its
      // time, so that a receiver (PagerDuty's dedup_key) can join them.
      const groupName = gapMs > 0 ? `${topic}-${Math.floor(time / gapMs)}` : id;
      const alert = { id, group: groupName, anomalies: 0, ...anomaly };
      group = { from: time, to: time, offsets: group?.offsets ?? new Map(), alert };
      groups.set(topic, group);
      alerts.push(group.alert);
    }
    group.from = Math.min(group.from, time);
    group.to = Math.max(group.to, time);
    group.offsets.set(partition, offset);
    const { alert } = group;
    // Only alerts that are not sent yet, those of this batch, still show the strongest of their group.
    Object.assign(alert, score > alert.score ? { ...anomaly } : {}, { anomalies: alert.anomalies + 1 });
  }
  return alerts.map((alert) => ({ summary: summary(alert), ...alert, time: new Date(alert.time).toISOString() }));
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
    dedup_key: alert.group,
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
