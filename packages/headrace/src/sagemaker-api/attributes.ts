import { modelError } from './errors.ts';

// The request's custom attributes (header X-Amzn-SageMaker-Custom-Attributes, at most 1,024 ASCII characters):
//
//   attributes = attribute *( ";" attribute )
//   attribute  = "topic=" topic | "offsets=" item *( "," item ) | "key=" text | anything else (ignored)
//   item       = [ partition ":" ] offset [ "-" offset ]
//   offset     = 1*DIGIT | "+" 1*DIGIT
//
// `offsets` names the rows of the body in their order. "+n" counts from the offset before it in the list; a partition
// left out is the one before. `key` is percent-encoded. The same is told to users in docs/sagemaker-endpoint.md.

/** Where a row comes from. */
export interface RecordPosition {
  readonly partition: number;
  readonly offset: number;
}

export interface RequestAttributes {
  readonly topic: string | undefined;
  readonly positions: readonly RecordPosition[] | undefined;
  readonly key: string | undefined;
}

const ITEM = /^(?:(\d{1,10}):)?(\+?\d{1,16})(?:-(\+?\d{1,16}))?$/;
const TOPIC = /^[a-zA-Z0-9._-]{1,249}$/;
/** More rows than a body of 6 MB can hold; keeps a range like 0-9999999999 from taking all memory. */
const MOST_ROWS = 4_000_000;

const none: RequestAttributes = { topic: undefined, positions: undefined, key: undefined };

/** @throws SageMakerError `ModelError` when a known attribute is malformed; unknown ones are the caller's own. */
export function parseAttributes(header: string | undefined): RequestAttributes {
  if (!header) return none;
  const values = new Map<string, string>();
  for (const attribute of header.split(';')) {
    const equals = attribute.indexOf('=');
    if (equals > 0) values.set(attribute.slice(0, equals).trim(), attribute.slice(equals + 1).trim());
  }
  const topic = values.get('topic');
  if (topic !== undefined && !TOPIC.test(topic)) throw modelError(`the attribute topic is not the name of a topic`);
  const offsets = values.get('offsets');
  if (offsets !== undefined && topic === undefined) throw modelError('the attribute offsets needs the attribute topic');
  const key = values.get('key');
  return {
    topic,
    positions: offsets === undefined ? undefined : parseOffsets(offsets),
    key: key === undefined ? undefined : decodeKey(key),
  };
}

function parseOffsets(list: string): RecordPosition[] {
  const positions: RecordPosition[] = [];
  let partition = -1;
  let last = -1;
  for (const item of list.split(',')) {
    const match = ITEM.exec(item.trim());
    if (!match) throw modelError(`"${item}" in the attribute offsets is not [partition:]offset[-offset]`);
    if (match[1] !== undefined && Number(match[1]) !== partition) {
      partition = Number(match[1]);
      last = -1;
    }
    if (partition < 0) throw modelError('the first item of the attribute offsets must name its partition');
    const number = (text: string): number => {
      if (text[0] !== '+') return Number(text);
      if (last < 0) throw modelError(`"${item}" in the attribute offsets counts from an offset that is not there`);
      return last + Number(text.slice(1));
    };
    const first = number(match[2]!);
    last = first;
    if (match[3] !== undefined) last = number(match[3]);
    if (!Number.isSafeInteger(last) || last < first) {
      throw modelError(`"${item}" in the attribute offsets is not a range of offsets`);
    }
    if (positions.length + last - first >= MOST_ROWS) throw modelError('the attribute offsets names too many rows');
    for (let offset = first; offset <= last; offset++) positions.push({ partition, offset });
  }
  return positions;
}

function decodeKey(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw modelError('the attribute key is not percent-encoded text');
  }
}
