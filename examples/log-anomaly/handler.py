"""Scores the records of a Kafka event with Random Cut Forest, stores every record, and alerts on anomalies.

The same code runs on AWS (SageMaker, DynamoDB, SNS) and under Headrace; handler.mjs does the same in JavaScript.

Delivery is at-least-once, so everything here may happen twice to a record: the endpoint is told topic, partition and
offset and learns a record once, and the item's key is made of them, so a repetition overwrites itself. When model or
table fail, the handler fails, and the whole batch comes again.
"""

import base64
import json
import math
import os
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import boto3
from botocore.config import Config

from alerts import alert_sender


def _number(name, fallback):
    text = os.environ.get(name) or fallback
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a number, not {text}")
    return value


def _parse_features(text):
    """"responseTimeMs, window.errors*100": fields of the JSON record, by dots, each with a weight (1 by default)."""
    features = []
    for feature in text.split(","):
        name, _, weight = (part.strip() for part in feature.partition("*"))
        try:
            weight = float(weight or ("nan" if "*" in feature else "1"))
        except ValueError:
            weight = math.nan
        if not name or not math.isfinite(weight):
            raise ValueError(f'ANOMALY_FEATURES must hold FIELD or FIELD*WEIGHT, not "{feature.strip()}"')
        features.append((name, name.split("."), weight))
    return features


TABLE_NAME = os.environ.get("TABLE_NAME")
if not TABLE_NAME:
    raise ValueError("TABLE_NAME must name the DynamoDB table")
ENDPOINT_NAME = os.environ.get("ENDPOINT_NAME") or "rcf-anomaly-endpoint"
THRESHOLD = _number("ANOMALY_THRESHOLD", "3")
FEATURES = _parse_features(os.environ.get("ANOMALY_FEATURES") or "responseTimeMs,status,bytes")

# Limits of the services, with room to spare: an item has 400 KB, a header 1,024 characters.
MAXIMUM_RECORD_BYTES = 300 * 1024
MAXIMUM_ATTRIBUTES = 1_024
MAXIMUM_VALUE = 1e30
BATCH_WRITE_ITEMS = 25
PARALLEL_WRITES = 4
WRITE_ATTEMPTS = 8

# A peer that is down shall fail the invocation well before the function's own timeout.
_config = Config(
    connect_timeout=2,
    read_timeout=15,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=PARALLEL_WRITES,
)
model = boto3.client("sagemaker-runtime", config=_config)
# The resource's client takes plain Python values, Decimal for numbers, and may be shared by threads.
dynamodb = boto3.resource("dynamodb", config=_config).meta.client
writers = ThreadPoolExecutor(PARALLEL_WRITES)
send_alerts = alert_sender(os.environ, dynamodb)


def handler(event, context):
    records = [_read(record) for records in event["records"].values() for record in records]
    scorable = [record for record in records if "values" in record]
    if scorable:
        _score(scorable)
    _store([_to_item(record) for record in records])
    anomalies = [record for record in scorable if record["score"] > THRESHOLD]
    send_alerts([_to_anomaly(record) for record in anomalies])
    return {
        "records": len(records),
        "scored": len(scorable),
        "anomalous": len(anomalies),
        "highestScore": float(max((record["score"] for record in scorable), default=0)),
    }


def _refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


def _read(event_record):
    """A record of the event, decoded. One that cannot be scored has a "problem" in place of "values"; it is stored too."""
    record = {name: event_record[name] for name in ("topic", "partition", "offset", "timestamp")}
    record.update(source=record["topic"], bytes=None, text=None)
    if not isinstance(event_record.get("value"), str):
        return {**record, "problem": "the record has no value"}
    record["bytes"] = base64.b64decode(event_record["value"])
    try:
        record["text"] = record["bytes"].decode("utf-8")
    except UnicodeDecodeError:
        return {**record, "problem": "the value is not UTF-8"}
    try:
        log = json.loads(record["text"], parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return {**record, "problem": "the value is not JSON"}
    if not isinstance(log, dict):
        return {**record, "problem": "the value is not a JSON object"}
    source = log.get("source")
    if isinstance(source, str) and source:
        record["source"] = source.encode("utf-16", "surrogatepass").decode("utf-16", "replace")[:256]
    event_time = _event_time(log.get("timestamp"))
    record["time"] = record["timestamp"] if event_time is None else event_time
    values = []
    named = {}
    for name, path, weight in FEATURES:
        raw = log
        for field in path:
            raw = raw.get(field) if isinstance(raw, dict) else None
        if isinstance(raw, bool) or not isinstance(raw, (int, float)):
            return {**record, "problem": f"{name} is not a number"}
        try:
            value = raw * weight
        except OverflowError:
            value = math.inf
        if not abs(value) <= MAXIMUM_VALUE:
            return {**record, "problem": f"{name} is out of range"}
        values.append(value)
        named[name] = raw
    return {**record, "values": values, "named": named}


_ISO = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?(Z|([+-])(\d\d):(\d\d))")


def _event_time(timestamp):
    """The record's own time, in milliseconds: ISO 8601 with a time zone, or milliseconds since the epoch."""
    if isinstance(timestamp, (int, float)) and not isinstance(timestamp, bool):
        return int(timestamp) if math.isfinite(timestamp) else None
    match = _ISO.fullmatch(timestamp) if isinstance(timestamp, str) else None
    if not match:
        return None
    try:
        moment = datetime.fromisoformat(match[1]).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    if match[4]:
        shift = timedelta(hours=int(match[5]), minutes=int(match[6]))
        moment += shift if match[4] == "-" else -shift
    milliseconds = int((match[2] or ".0")[1:4].ljust(3, "0"))
    return int(moment.timestamp()) * 1000 + milliseconds


def _score(records):
    """Gives each record its score: one request, unless the list of its offsets is longer than a header may be."""
    topic = records[0]["topic"]
    attributes = f"topic={topic};offsets={_offsets_of(records)}"
    other_topic = next((i for i, record in enumerate(records) if record["topic"] != topic), None)
    if len(records) > 1 and (other_topic is not None or len(attributes) > MAXIMUM_ATTRIBUTES):
        half = len(records) // 2 if other_topic is None else other_topic
        _score(records[:half])
        _score(records[half:])
        return
    response = model.invoke_endpoint(
        EndpointName=ENDPOINT_NAME,
        ContentType="application/json",
        Accept="application/json",
        CustomAttributes=attributes,
        Body=json.dumps({"instances": [{"features": record["values"]} for record in records]}),
    )
    scores = json.loads(response["Body"].read(), parse_float=Decimal, parse_int=Decimal)["scores"]
    if len(scores) != len(records):
        raise RuntimeError(f"the endpoint gave {len(scores)} scores to {len(records)} records")
    for record, score in zip(records, scores):
        record["score"] = score["score"]


def _offsets_of(records):
    """"0:100-149,155,2:77": the offsets of the records in their order, as docs/sagemaker-endpoint.md defines them."""
    items = []
    partition = None
    i = 0
    while i < len(records):
        first = last = records[i]
        i += 1
        while i < len(records) and (records[i]["partition"], records[i]["offset"]) == (
            first["partition"],
            last["offset"] + 1,
        ):
            last = records[i]
            i += 1
        prefix = "" if first["partition"] == partition else f"{first['partition']}:"
        suffix = f"-{last['offset']}" if last is not first else ""
        items.append(f"{prefix}{first['offset']}{suffix}")
        partition = first["partition"]
    return ",".join(items)


def _to_item(record):
    item = {name: record[name] for name in ("topic", "partition", "offset", "timestamp", "source")}
    item["id"] = f"{record['topic']}-{record['partition']}-{record['offset']}"
    item["anomalous"] = record.get("score", 0) > THRESHOLD
    item["stored_at"] = time.time_ns() // 1_000_000
    if "problem" in record:
        item["problem"] = record["problem"]
    else:
        item["rcf_score"] = record["score"]
    if record["bytes"] is None:
        item["record"] = None
    elif len(record["bytes"]) > MAXIMUM_RECORD_BYTES:
        item["record"] = record["bytes"][:MAXIMUM_RECORD_BYTES]
        item["truncated"] = True
    else:
        item["record"] = record["bytes"] if record["text"] is None else record["text"]
    return item


def _store(items):
    """Writes the items, 25 a request and four requests at a time."""
    batches = [items[i : i + BATCH_WRITE_ITEMS] for i in range(0, len(items), BATCH_WRITE_ITEMS)]
    for _ in writers.map(_write, batches):
        pass


def _write(items):
    """DynamoDB may take a part and give back the rest; that is tried again, with growing pauses."""
    requests = [{"PutRequest": {"Item": item}} for item in items]
    for attempt in range(WRITE_ATTEMPTS):
        if attempt > 0:
            time.sleep(0.025 * 2**attempt * (0.5 + random.random()))
        answer = dynamodb.batch_write_item(RequestItems={TABLE_NAME: requests})
        requests = answer.get("UnprocessedItems", {}).get(TABLE_NAME, [])
        if not requests:
            return
    raise RuntimeError(f"DynamoDB left {len(requests)} items unprocessed after {WRITE_ATTEMPTS} attempts")


def _to_anomaly(record):
    anomaly = {name: record[name] for name in ("topic", "partition", "offset", "source", "time")}
    return {
        **anomaly,
        "score": float(record["score"]),
        "threshold": THRESHOLD,
        "features": record["named"],
        "record": record["text"][:1_000],
    }
