import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { cached, runCommand } from '@headrace/testing';

const folder = join(import.meta.dirname);

/** event-ruler in a Java process beside the benchmark. */
export class RulerPeer implements AsyncDisposable {
  private readonly process: ChildProcessWithoutNullStreams;
  private readonly answers: AsyncIterator<string>;

  private constructor(process: ChildProcessWithoutNullStreams) {
    this.process = process;
    this.answers = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  }

  /** Builds what is missing with Maven and javac, and starts it. Rejects when either is not there. */
  static async start(): Promise<RulerPeer> {
    const sources = await Promise.all(['pom.xml', 'RulerPeer.java'].map((file) => readFile(join(folder, file))));
    const hash = createHash('sha256').update(Buffer.concat(sources)).digest('hex').slice(0, 16);
    const built = await cached(`filter-benchmark-${hash}`, async (target) => {
      const pom = join(folder, 'pom.xml');
      await runCommand('mvn', [
        '-q',
        '-B',
        '-f',
        pom,
        'dependency:copy-dependencies',
        `-DoutputDirectory=${target}/lib`,
      ]);
      await runCommand('javac', ['-cp', `${target}/lib/*`, '-d', target, join(folder, 'RulerPeer.java')]);
    });
    return new RulerPeer(spawn('java', ['-XX:+UseSerialGC', '-cp', `${built}:${built}/lib/*`, 'RulerPeer']));
  }

  async load(patternsFile: string, eventsFile: string): Promise<void> {
    const answer = await this.command(`load ${patternsFile} ${eventsFile}`);
    if (answer !== 'ready') throw new Error(`event-ruler answered ${answer}`);
  }

  /** Judges the events for `seconds` of CPU time of its one thread. */
  async run(seconds: number): Promise<{ eventsPerSecond: number; matched: number }> {
    const [judged, nanoseconds, matched] = (await this.command(`run ${seconds}`)).split(' ').map(Number);
    return { eventsPerSecond: (judged! / nanoseconds!) * 1e9, matched: matched! };
  }

  private async command(line: string): Promise<string> {
    this.process.stdin.write(`${line}\n`);
    const { value, done } = await this.answers.next();
    if (done) throw new Error('the Java process ended');
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.stdin.end();
    await ended;
  }
}
