import { HeadraceError } from '../../errors.ts';
import { backUp, restore } from '../../store/backup.ts';
import type { Command } from '../command.ts';

export const command: Command = {
  usage: 'backup FILE [--data-dir DIRECTORY] [--restore]',
  description:
    'Copies functions, their code, event source mappings, the audit, the tables of the embedded DynamoDB, models and logs ' +
    'into one file, also while an engine runs on the data directory. --restore makes a data directory out of such a file. ' +
    'Records and offsets lie in Kafka; those of the development broker are not part of it.',
  positionals: ['FILE'],
  options: {
    'data-dir': { type: 'string', value: 'DIRECTORY', description: 'the data directory (default ./.headrace)' },
    restore: { type: 'boolean', description: 'the other way: from FILE into a data directory without a store' },
    json: { type: 'boolean', description: 'one JSON document' },
  },
  examples: [
    { line: 'headrace backup monday.backup', does: 'copies ./.headrace' },
    { line: 'headrace backup monday.backup --restore --data-dir ./again', does: 'makes ./again from it' },
  ],
  async run({ positionals, options, terminal }) {
    const [file] = positionals;
    if (file === undefined) throw new HeadraceError('USAGE', 'backup needs a FILE');
    const dataDirectory = options.string('data-dir') ?? './.headrace';
    const isRestore = options.boolean('restore');
    const summary = isRestore ? restore(file, dataDirectory) : backUp(dataDirectory, file);
    if (options.boolean('json')) terminal.print(JSON.stringify({ file, dataDirectory, ...summary }));
    else {
      const { functions, mappings, codePackages, tableBytes, modelBytes, logBytes } = summary;
      const what =
        `${functions} functions, ${mappings} mappings, ${codePackages} code packages, ${megabytes(tableBytes)} of ` +
        `tables, ${megabytes(modelBytes)} of models, ${megabytes(logBytes)} of logs`;
      terminal.print(isRestore ? `${file} → ${dataDirectory}: ${what}` : `${dataDirectory} → ${file}: ${what}`);
    }
    return 0;
  },
};

const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(1)} MB`;
