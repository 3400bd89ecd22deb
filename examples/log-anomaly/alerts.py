"""Alerts: one for each group of neighbouring anomalies, to SNS, a webhook or PagerDuty, and always to the log."""

import json
import math
import re
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

# Alerts that are kept while their channel is down; further ones are in the log only.
KEPT_ALERTS = 100
# How long a channel may take.
SEND_TIMEOUT_SECONDS = 3
# Groups that are remembered for a topic: partitions that lag behind still find theirs.
KEPT_GROUPS = 20
# How often a change of the groups that another environment crossed is tried.
GROUP_ATTEMPTS = 5


def alert_sender(environment, dynamodb):
    """The function that alerts on the anomalies of a batch, given a DynamoDB client for the groups.

    A channel that is down does not hold up the records: the alert is logged, kept, and sent with a later batch.
    """
    gap = 1_000 * _seconds(environment, "ALERT_GROUP_SECONDS", "900")
    # How long a channel is left alone after it failed.
    pause = _seconds(environment, "ALERT_RETRY_SECONDS", "10")
    channels = _alert_channels(environment)
    for channel in channels:
        channel.pause = pause
    workers = ThreadPoolExecutor(len(channels)) if channels else None
    update_groups = _group_store(environment.get("ALERT_TABLE"), dynamodb)

    def send_alerts(anomalies):
        for topic in dict.fromkeys(anomaly["topic"] for anomaly in anomalies):
            of_topic = [anomaly for anomaly in anomalies if anomaly["topic"] == topic]
            for alert in update_groups(topic, lambda groups: _group_anomalies(of_topic, groups, gap)):
                print(json.dumps({"level": "WARN", "message": "anomaly", **alert}, ensure_ascii=False))
                for channel in channels:
                    if len(channel.unsent) < KEPT_ALERTS:
                        channel.unsent.append(alert)
        if workers:
            for _ in workers.map(_Channel.drain, channels):
                pass

    return send_alerts


def _group_anomalies(anomalies, groups, gap):
    """Joins anomalies of a topic with its recent groups, which it changes.

    An anomaly within `gap` milliseconds of a group's times belongs to it. Answers the alerts on the groups that records
    of this batch opened (a batch that comes again alerts again, because nobody knows how far the first time got), and
    whether the groups changed.
    """
    alerts = {}
    before = [dict(group) for group in groups]
    for anomaly in sorted(anomalies, key=lambda each: each["time"]):
        moment = anomaly["time"]
        anomaly_id = f"{anomaly['topic']}-{anomaly['partition']}-{anomaly['offset']}"
        group = next((each for each in groups if each["from"] - gap <= moment <= each["to"] + gap), None)
        if group is None:
            group = {"id": anomaly_id, "from": moment, "to": moment}
            groups.append(group)
            if len(groups) > KEPT_GROUPS:
                groups.pop(0)
        if group["id"] == anomaly_id:
            alerts[anomaly_id] = {"id": anomaly_id, "anomalies": 0, **anomaly}
        group["from"] = min(group["from"], moment)
        group["to"] = max(group["to"], moment)
        alert = alerts.get(group["id"])
        if alert:
            # An alert shows the strongest anomaly that its batch has of the group.
            if anomaly["score"] > alert["score"]:
                alert.update(anomaly)
            alert["anomalies"] += 1
    shown = [{"summary": _summary(alert), **alert, "time": _iso(alert["time"])} for alert in alerts.values()]
    # A group that grew a little is not worth a write: half a gap may be missing from what others see.
    is_changed = len(before) != len(groups) or any(
        old["id"] != new["id"] or old["from"] - new["from"] > gap / 2 or new["to"] - old["to"] > gap / 2
        for old, new in zip(before, groups)
    )
    return shown, is_changed


def _group_store(table_name, dynamodb):
    """Keeps the recent groups of each topic.

    They are in the table, which all execution environments share, or without one in this environment. Two that change
    the groups at once are told apart by a version; the second reads them again. When the table fails, this environment
    goes on with what it knows: better an alert twice than a batch held up.
    """
    known = {}

    def update_groups(topic, update):
        attempt = 0
        while table_name:
            attempt += 1
            try:
                item = dynamodb.get_item(TableName=table_name, Key={"id": topic}, ConsistentRead=True).get("Item", {})
                groups = json.loads(item.get("groups", "[]"))
                version = int(item.get("version", 0))
                alerts, is_changed = update(groups)
                if is_changed:
                    dynamodb.put_item(
                        TableName=table_name,
                        Item={"id": topic, "groups": json.dumps(groups), "version": version + 1},
                        ConditionExpression="attribute_not_exists(id) OR version = :version",
                        ExpressionAttributeValues={":version": version},
                    )
                known[topic] = groups
                return alerts
            except Exception as error:  # Whatever it fails with, the records are stored and the alert can still go out.
                response = getattr(error, "response", {})
                is_crossed = response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"
                if is_crossed and attempt < GROUP_ATTEMPTS:
                    continue
                print(json.dumps({"level": "ERROR", "message": f"the alert table: {error}"}))
                break
        return update(known.setdefault(topic, []))[0]

    return update_groups


def _seconds(environment, name, fallback):
    text = environment.get(name) or fallback
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise ValueError(f"{name} must be a number from 0, not {text}")
    return seconds


class _Channel:
    def __init__(self, name, send):
        self.name = name
        self.send = send
        self.unsent = []
        self.pause = 0.0
        self.paused_until = 0.0

    def drain(self):
        """Sends what the channel is owed, oldest first, until it fails or its time for this batch is up."""
        started = time.monotonic()
        if started < self.paused_until:
            return
        while self.unsent and time.monotonic() - started < SEND_TIMEOUT_SECONDS:
            try:
                self.send(self.unsent[0])
                self.unsent.pop(0)
            except Exception as error:  # Whatever a channel fails with, the records are stored and the alert is logged.
                message = f"{self.name} did not take the alert {self.unsent[0]['id']}: {error}"
                print(json.dumps({"level": "ERROR", "message": message}))
                self.paused_until = time.monotonic() + self.pause
                return


def _iso(milliseconds):
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=milliseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def _alert_channels(environment):
    alert_format = environment.get("ALERT_FORMAT") or "json"
    if alert_format not in ("json", "pagerduty"):
        raise ValueError(f"ALERT_FORMAT must be json or pagerduty, not {alert_format}")
    channels = []
    if environment.get("ALERT_TOPIC_ARN"):
        channels.append(_sns_channel(environment["ALERT_TOPIC_ARN"]))
    if environment.get("ALERT_WEBHOOK_URL"):
        routing_key = environment.get("PAGERDUTY_ROUTING_KEY") or ""

        def body(alert):
            return _pager_duty_event(alert, routing_key) if alert_format == "pagerduty" else alert

        channels.append(_webhook_channel(environment["ALERT_WEBHOOK_URL"], body))
    return channels


def _summary(alert):
    values = ", ".join(f"{name}={_plain(value)}" for name, value in alert["features"].items())
    return f"Anomaly {alert['score']:.2f} in {alert['topic']} ({alert['source']}): {values}"


def _plain(value):
    return int(value) if float(value).is_integer() else value


def _sns_channel(topic_arn):
    import boto3
    from botocore.config import Config

    timeouts = Config(connect_timeout=2, read_timeout=SEND_TIMEOUT_SECONDS, retries={"total_max_attempts": 2})
    sns = boto3.client("sns", config=timeouts)

    def send(alert):
        subject = re.sub(r"[^\x20-\x7e]", "?", alert["summary"])[:100]
        sns.publish(TopicArn=topic_arn, Subject=subject, Message=json.dumps(alert, ensure_ascii=False))

    return _Channel("SNS", send)


def _webhook_channel(url, body):
    def send(alert):
        data = json.dumps(body(alert), ensure_ascii=False).encode()
        request = urllib.request.Request(url, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=SEND_TIMEOUT_SECONDS) as response:
            response.read()

    return _Channel("the webhook", send)


def _pager_duty_event(alert, routing_key):
    """PagerDuty Events API v2: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/"""
    return {
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": alert["id"],
        "payload": {
            "summary": alert["summary"][:1_024],
            "source": alert["source"],
            "severity": "warning",
            "timestamp": alert["time"],
            "component": alert["topic"],
            "custom_details": alert,
        },
    }
