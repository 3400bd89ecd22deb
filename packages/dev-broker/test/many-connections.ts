// Opens connections that begin a request and do not end it: node many-connections.ts HOST PORT COUNT. Prints how many are
// open, and ends when its standard input does.
import { connect } from 'node:net';

const [host, port, count] = process.argv.slice(2) as [string, string, string];
/** The system queues so many connections that were not accepted yet. */
const WAVE = 250;
// A frame of 100 MB that is announced, of which one byte comes; or a part of its length alone.
const beginnings = [Buffer.from('06400000ff', 'hex'), Buffer.from('0000', 'hex'), Buffer.alloc(0)];

let opened = 0;
const open = (index: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port) });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.write(beginnings[index % beginnings.length]!);
      opened++;
      resolve();
    });
  });
for (let index = 0; index < Number(count); index += WAVE) {
  const size = Math.min(WAVE, Number(count) - index);
  await Promise.all(Array.from({ length: size }, (_, offset) => open(index + offset)));
}
console.log(opened);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
