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
# Offsets of one partition that count as neighbours however far apart their times are.
NEIGHBOURING_OFFSETS = 5


def alert_sender(environment):
    """The function that alerts on the anomalies of a batch.

    Its memory of the running group lives as long as the execution environment. A channel that is down does not hold up
    the records: the alert is logged, kept, and sent with a later batch.
    """
    seconds = _seconds(environment, "ALERT_GROUP_SECONDS", "900")
    # How long a channel is left alone after it failed.
    pause = _seconds(environment, "ALERT_RETRY_SECONDS", "10")
    channels = _alert_channels(environment)
    for channel in channels:
        channel.pause = pause
    workers = ThreadPoolExecutor(len(channels)) if channels else None
    groups = {}

    def send_alerts(anomalies):
        for alert in _group_anomalies(anomalies, groups, seconds * 1_000):
            print(json.dumps({"level": "WARN", "message": "anomaly", **alert}, ensure_ascii=False))
            for channel in channels:
                if len(channel.unsent) < KEPT_ALERTS:
                    channel.unsent.append(alert)
        if workers:
            for _ in workers.map(_Channel.drain, channels):
                pass

    return send_alerts


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


def _group_anomalies(anomalies, groups, gap):
    """One alert for each group that begins in this batch.

    An anomaly belongs to the running group of its topic when its time is within `gap` milliseconds of the group's, or
    its offset close behind the last one of its partition.
    """
    alerts = []
    for anomaly in sorted(anomalies, key=lambda each: each["time"]):
        partition, offset, moment = anomaly["partition"], anomaly["offset"], anomaly["time"]
        group = groups.get(anomaly["topic"])
        is_near = group is not None and group["from"] - gap <= moment <= group["to"] + gap
        last = group["offsets"].get(partition) if group else None
        if not is_near and not (last is not None and abs(offset - last) <= NEIGHBOURING_OFFSETS):
            alert_id = f"{anomaly['topic']}-{partition}-{offset}"
            # Environments know nothing of each other. Alerts on one incident mostly get the same name of their group from
            # its time, so that a receiver (PagerDuty's dedup_key) can join them.
            group_name = f"{anomaly['topic']}-{int(moment // gap)}" if gap > 0 else alert_id
            group = {
                "from": moment,
                "to": moment,
                "offsets": group["offsets"] if group else {},
                "alert": {"id": alert_id, "group": group_name, "anomalies": 0, **anomaly},
            }
            groups[anomaly["topic"]] = group
            alerts.append(group["alert"])
        group["from"] = min(group["from"], moment)
        group["to"] = max(group["to"], moment)
        group["offsets"][partition] = offset
        # Only alerts that are not sent yet, those of this batch, still show the strongest of their group.
        alert = group["alert"]
        if anomaly["score"] > alert["score"]:
            alert.update(anomaly)
        alert["anomalies"] += 1
    return [{"summary": _summary(alert), **alert, "time": _iso(alert["time"])} for alert in alerts]


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
        "dedup_key": alert["group"],
        "payload": {
            "summary": alert["summary"][:1_024],
            "source": alert["source"],
            "severity": "warning",
            "timestamp": alert["time"],
            "component": alert["topic"],
            "custom_details": alert,
        },
    }
