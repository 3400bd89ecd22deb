import { randomBytes } from 'node:crypto';

/** Client context as JSON text; what is not base64 of JSON is left out, as an absent one. */
export function parseClientContext(base64: string | undefined): string | undefined {
  if (base64 === undefined || base64 === '') return undefined;
  const text = Buffer.from(base64, 'base64').toString();
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  // It travels in a header line.
  return text.replace(/[\r\n]+/g, ' ');
}

let prefix = '';
let count = 0;
let second = 0;
let secondText = '';

/** A new X-Ray trace header: `Root=1-SECONDS-24 HEX;Parent=16 HEX;Sampled=0`. */
export function newTraceHeader(): string {
  // 64 random bits a process and a counter are as unique as 96 random bits, at a tenth of the price.
  if (count === 0 || count > 0xff_ff_ff) {
    prefix = randomBytes(9).toString('hex');
    count = 0;
  }
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    secondText = now.toString(16);
  }
  const serial = (++count).toString(16).padStart(6, '0');
  return `Root=1-${secondText}-${prefix}${serial};Parent=${prefix.slice(8)}${serial};Sampled=0`;
}
