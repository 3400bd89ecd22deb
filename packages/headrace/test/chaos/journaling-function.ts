/**
 * The function under test: writes to the file that `JOURNAL` names what it got before it works (`B`) and that it worked
 * (`E`) before it answers; and once when its own process was started (`S`). Every line is one append, so the lines of all processes stand in the order in which they
 * happened:
 *
 *     S <ms since 1970> <engine's process id> <process id of the function>
 *     B <ms since 1970> <engine's process id> <invocation> <topic-partition>:<first>-<last>[,…] …
 *     E <ms since 1970> <engine's process id> <invocation>
 */
export const journalingFunction = `
import { openSync, writeSync } from 'node:fs';
const journal = openSync(process.env.JOURNAL, 'a');
const latency = Number(process.env.LATENCY);
const life = process.ppid;
let invocations = 0;
const write = (line) => writeSync(journal, line + '\\n');

write(['S', Math.round(performance.timeOrigin), life, process.pid].join(' '));

function ranges(records) {
  const parts = [];
  for (let i = 0; i < records.length; ) {
    const first = records[i].offset;
    let last = first;
    while (++i < records.length && records[i].offset === last + 1) last++;
    parts.push(first + '-' + last);
  }
  return parts.join(',');
}

export const handler = async (event) => {
  const id = process.pid + '.' + ++invocations;
  const got = Object.entries(event.records).map(([name, records]) => name + ':' + ranges(records));
  write(['B', Date.now(), life, id, ...got].join(' '));
  if (latency > 0) await new Promise((resolve) => setTimeout(resolve, latency));
  write(['E', Date.now(), life, id].join(' '));
};
`;
