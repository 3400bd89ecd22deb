import { modelError } from './errors.ts';
import { encodeScores } from './record-io.ts';

export type AnswerType = 'application/json' | 'application/jsonlines' | 'application/x-recordio-protobuf';

const TYPES: readonly AnswerType[] = ['application/json', 'application/jsonlines', 'application/x-recordio-protobuf'];

/** What to answer in; JSON when the client does not mind. @throws SageMakerError `ModelError` for other types (CSV among them) */
export function chooseAnswerType(accept: string | undefined): AnswerType {
  if (accept === undefined || accept.trim() === '') return 'application/json';
  for (const part of accept.split(',')) {
    const type = part.split(';', 1)[0]!.trim().toLowerCase();
    if (type === '*/*' || type === 'application/*') return 'application/json';
    const known = TYPES.find((candidate) => candidate === type);
    if (known) return known;
  }
  throw modelError(`accept type ${JSON.stringify(accept)} is not one of ${TYPES.join(', ')}`, 406);
}

/** At most ten decimals, as real endpoints print, and never an exponent. */
function formatScore(score: number): string {
  const rounded = Math.round(score * 1e10) / 1e10;
  const text = String(rounded);
  return text.includes('e') ? rounded.toFixed(10).replace(/\.?0+$/, '') : text;
}

/** The body for these scores; `bare` answers a bare array with plain numbers. */
export function writeAnswer(scores: readonly number[], type: AnswerType, bare: boolean): Buffer {
  if (bare) return Buffer.from(`{"scores":[${scores.map(formatScore).join(',')}]}`);
  switch (type) {
    case 'application/json':
      return Buffer.from(`{"scores":[${scores.map((score) => `{"score":${formatScore(score)}}`).join(',')}]}`);
    case 'application/jsonlines':
      return Buffer.from(scores.map((score) => `{"score":${formatScore(score)}}\n`).join(''));
    case 'application/x-recordio-protobuf':
      return encodeScores(scores);
  }
}
