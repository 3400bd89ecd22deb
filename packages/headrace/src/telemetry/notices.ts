/** What the core publishes for a person to read, as lines of the log. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { commitRefusedChannel, endpointWarningChannel, lateResultChannel, mappingWarningChannel } from './channels.ts';

interface Warning {
  readonly uuid?: string;
  readonly warning: string;
}

interface RefusedCommit {
  readonly uuid: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly reason: string;
}

interface LateResult extends Omit<RefusedCommit, 'offset' | 'reason'> {
  readonly from: number;
  readonly to: number;
}

type Line = readonly [channel: string | symbol, write: (message: unknown) => string];

const lines: readonly Line[] = [
  ...[mappingWarningChannel, endpointWarningChannel].map(
    ({ name }): Line => [
      name,
      (message) => {
        const { uuid, warning } = message as Warning;
        return uuid === undefined ? warning : `mapping ${uuid}: ${warning}`;
      },
    ],
  ),
  [
    commitRefusedChannel.name,
    (message) => {
      const { uuid, topic, partition, offset, reason } = message as RefusedCommit;
      const what = `mapping ${uuid}: commit of ${topic}-${partition} at offset ${offset} was`;
      return reason === 'NOT_ASSIGNED'
        ? `${what} not made: the partition was given up before; what is not committed is worked on again`
        : `${what} refused (${reason}): another member has the partition, what is not committed is worked on again`;
    },
  ],
  [
    lateResultChannel.name,
    (message) => {
      const { uuid, topic, partition, from, to } = message as LateResult;
      return `mapping ${uuid}: the result for ${topic}-${partition} offsets ${from} to ${to - 1} came after the partition was gone: ignored`;
    },
  ],
];

/** Writes the lines until the function that it returns is called. */
export function logNotices(log: (line: string) => void): () => void {
  const ends = lines.map(([name, write]) => {
    const listener = (message: unknown): void => log(write(message));
    subscribe(name, listener);
    return () => void unsubscribe(name, listener);
  });
  return () => {
    for (const end of ends) end();
  };
}
