// Records from a file, for trying things out without a Kafka.

import type { FilterRecord } from './filter-record.ts';

/** A record of a Lambda event, as far as filters see it. https://docs.aws.amazon.com/lambda/latest/dg/with-kafka.html */
interface EventRecord {
  readonly topic?: string;
  readonly partition?: number;
  readonly offset?: number;
  readonly timestamp?: number;
  readonly timestampType?: string;
  readonly key?: string;
  readonly value?: string;
  readonly headers?: readonly Readonly<Record<string, readonly number[]>>[];
}

/**
 * Records from the bytes of a file: a Kafka event as Lambda sends it, else one record's value when the file is one JSON
 * object or array, else a value a line.
 */
export function recordsFromFile(bytes: Uint8Array, name: string): FilterRecord[] {
  const whole = parseContainer(bytes);
  if (isKafkaEvent(whole)) return Object.values(whole.records).flatMap((records) => records.map(recordFromEvent));
  if (whole !== undefined) return [recordFromValue(bytes, name, 0)];
  return splitLines(bytes).map((line, offset) => recordFromValue(line, name, offset));
}

function parseContainer(bytes: Uint8Array): object | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function isKafkaEvent(value: object | undefined): value is { records: Record<string, EventRecord[]> } {
  if (value === undefined || !('eventSource' in value) || !('records' in value)) return false;
  const { eventSource, records } = value;
  const isKafka = eventSource === 'aws:kafka' || eventSource === 'SelfManagedKafka';
  return isKafka && typeof records === 'object' && records !== null && Object.values(records).every(Array.isArray);
}

function recordFromEvent(record: EventRecord): FilterRecord {
  const decode = (text: string | undefined): Uint8Array | null =>
    typeof text === 'string' ? Buffer.from(text, 'base64') : null;
  const headers = (record.headers ?? []).flatMap((header) =>
    Object.entries(header).map(([key, value]) => ({ key, value: Uint8Array.from(value) })),
  );
  return {
    topic: record.topic ?? '',
    partition: record.partition ?? 0,
    offset: record.offset ?? 0,
    timestamp: record.timestamp ?? 0,
    timestampType: record.timestampType === 'LOG_APPEND_TIME' ? 'LOG_APPEND_TIME' : 'CREATE_TIME',
    key: decode(record.key),
    value: decode(record.value),
    headers: () => headers,
  };
}

function recordFromValue(value: Uint8Array, topic: string, offset: number): FilterRecord {
  return {
    topic,
    partition: 0,
    offset,
    timestamp: 0,
    timestampType: 'CREATE_TIME',
    key: null,
    value,
    headers: () => [],
  };
}

/** Lines without their ends; the empty rest behind the last one is none. */
function splitLines(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(10, start);
    const end = newline === -1 ? bytes.length : newline;
    lines.push(bytes.subarray(start, end > start && bytes[end - 1] === 13 ? end - 1 : end));
    start = end + 1;
  }
  return lines;
}
