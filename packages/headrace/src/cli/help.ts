import type { Command } from './command.ts';
import { commands } from './registry.ts';
import type { Terminal } from './terminal.ts';

/** `headrace --help`. */
export function mainHelp(terminal: Terminal, version: string): string {
  const built = Object.entries(commands).filter(([, entry]) => entry.load !== undefined);
  const planned = Object.entries(commands).filter(([, entry]) => entry.load === undefined);
  const line = ([name, entry]: [string, { summary: string }]): string => `  ${name.padEnd(14)} ${entry.summary}`;
  return [
    `${terminal.style('bold', 'headrace')} ${version}: AWS Lambda functions on Apache Kafka, anywhere`,
    '',
    'usage: headrace COMMAND [options]',
    '',
    ...built.map(line),
    ...(planned.length > 0 ? ['', 'named, not built yet:', `  ${planned.map(([name]) => name).join(', ')}`] : []),
    '',
    'Begin here:',
    '  headrace demo                                            see it work, nothing needed',
    '  headrace run handler.mjs --topic orders                  your handler on a development broker',
    '  headrace run handler.mjs --topic orders --bootstrap-servers localhost:9092',
    '',
    'headrace COMMAND --help tells more. Clients find the engine by AWS_ENDPOINT_URL.',
  ].join('\n');
}

/** `headrace COMMAND --help`. */
export function commandHelp(terminal: Terminal, command: Command): string {
  const rows = Object.entries({
    ...command.options,
    help: { type: 'boolean' as const, short: 'h', description: 'this text' },
  }).map(([name, option]) => {
    const value = 'value' in option && option.value ? ` ${option.value}` : '';
    return { left: `${option.short ? `-${option.short}, ` : ''}--${name}${value}`, right: option.description };
  });
  const width = Math.min(34, Math.max(...rows.map((row) => row.left.length)) + 2);
  const wrapAt = Math.max(40, Math.min(terminal.columns, 110) - width - 2);
  const lines = [`usage: headrace ${command.usage}`, '', ...wrap(command.description, width + wrapAt), ''];
  for (const row of rows) {
    const [first = '', ...more] = wrap(row.right, wrapAt);
    if (row.left.length + 2 > width) lines.push(`  ${row.left}`, `  ${' '.repeat(width)}${first}`);
    else lines.push(`  ${row.left.padEnd(width)}${first}`);
    lines.push(...more.map((text) => `  ${' '.repeat(width)}${text}`));
  }
  if (command.examples?.length) {
    lines.push('', 'examples:');
    for (const example of command.examples)
      lines.push(`  ${terminal.style('bold', example.line)}`, `      ${example.does}`);
  }
  return lines.join('\n');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + word.length + 1 > width) {
        lines.push(line);
        line = word;
      } else line = line === '' ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return lines;
}
