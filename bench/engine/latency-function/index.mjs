// The handler of the latency rows, for everybody: how old each record is, in microseconds of the monotonic clock that
// all processes of a machine share.
import { appendFileSync } from 'node:fs';

let lines = '';
let timer = 0;

function flush() {
  timer = 0;
  appendFileSync(`${process.env.LATENCY_FOLDER}/${process.pid}`, lines);
  lines = '';
}

export const handler = async (event) => {
  const now = Number(process.hrtime.bigint() / 1000n);
  for (const { value } of Object.values(event.records).flat()) {
    const sent = Number(Buffer.from(value, 'base64').toString());
    lines += `${sent} ${now - sent}\n`;
  }
  if (timer === 0) timer = setTimeout(flush, 100);
};
