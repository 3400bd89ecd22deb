// The entry of the command line: finds the command, prints help and errors, sets the exit code. No logic of its own.
import { HeadraceError, toHeadraceError } from '../errors.ts';
import { commandHelp, mainHelp } from './help.ts';
import { parseWords } from './options.ts';
import { commands } from './registry.ts';
import { processTerminal } from './terminal.ts';
import { packageVersion } from './version.ts';

const terminal = processTerminal();

// A reader that goes away (`headrace … | head`) is no fault of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

async function main(words: readonly string[]): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    terminal.print(mainHelp(terminal, packageVersion()));
    return name === undefined ? 2 : 0;
  }
  if (name === '--version' || name === '-v' || name === 'version') {
    terminal.print(packageVersion());
    return 0;
  }
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (entry === undefined) {
    terminal.warn(`headrace: unknown command "${name}"; headrace --help lists them`);
    return 2;
  }
  if (entry.load === undefined) {
    throw new HeadraceError('NOT_BUILT_YET', `"${name}" (${entry.summary}) is not built yet`);
  }
  const { command } = await entry.load();
  const end = rest.indexOf('--');
  if ((end < 0 ? rest : rest.slice(0, end)).some((word) => word === '--help' || word === '-h')) {
    terminal.print(commandHelp(terminal, command));
    return 0;
  }
  const { options, positionals } = parseWords(command, rest);
  return await command.run({ options, positionals, terminal });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (thrown) {
  const error = toHeadraceError(thrown);
  terminal.warn(`headrace: ${error.message}`);
  if (error.code !== 'USAGE') terminal.warn(`  ${error.code}: ${error.cure}`);
  else terminal.warn(`  see headrace ${process.argv[2] ?? ''} --help`);
  if (error.code === 'INTERNAL' && thrown instanceof Error && thrown.stack) terminal.warn(thrown.stack);
  process.exitCode = error.code === 'USAGE' || error.code === 'NOT_BUILT_YET' ? 2 : 1;
}
// The launcher's channel keeps the loop alive; what else is open was the command's to close.
if (process.connected) process.disconnect();
