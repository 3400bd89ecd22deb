/** Steps of the walk to a cluster, as lines. */
import type { Hop } from '../kafka/preflight.ts';
import type { Style, Terminal } from './terminal.ts';

const marks: Readonly<Record<Hop['result'], readonly [mark: string, style: Style]>> = {
  ok: ['ok', 'green'],
  warning: ['warning', 'yellow'],
  failed: ['failed', 'red'],
};

/** One line; three where something is wrong: what it means, and how to cure it. */
export function printHop(terminal: Terminal, hop: Hop): void {
  const [mark, style] = marks[hop.result];
  const time = `${hop.milliseconds.toFixed(1)} ms`.padStart(11);
  terminal.print(`${terminal.style(style, mark.padEnd(8))}${time}  ${hop.name} of ${hop.subject}: ${hop.found}`);
  if (hop.error === undefined) return;
  terminal.print(`          ${hop.error.code}: ${hop.error.cause}`);
  terminal.print(`          ${hop.error.cure}`);
}
