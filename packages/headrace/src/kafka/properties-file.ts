/**
 * Reads the text of a Java properties file: `key=value`, `key: value` or `key value`, comments with `#` or `!`, lines
 * that go on after a backslash, and Java's escapes. The last of several equal keys counts, as in Java.
 */
export function parseProperties(text: string): Map<string, string> {
  const properties = new Map<string, string>();
  let logical = '';
  let isContinued = false;
  for (const natural of text.split(/\r\n|\r|\n/)) {
    const line = natural.replace(/^[ \t\f]+/, '');
    if (!isContinued && (line === '' || line.startsWith('#') || line.startsWith('!'))) continue;
    // An odd number of backslashes at the end continues the line; an even one is written backslashes.
    const backslashes = /\\*$/.exec(line)![0].length;
    isContinued = backslashes % 2 === 1;
    logical += isContinued ? line.slice(0, -1) : line;
    if (isContinued) continue;
    add(logical, properties);
    logical = '';
  }
  if (logical !== '') add(logical, properties);
  return properties;
}

function add(line: string, properties: Map<string, string>): void {
  const match = /^((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)$/su.exec(line)!;
  properties.set(unescaped(match[1]!), unescaped(match[2]!));
}

const escapes: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' };

const unescaped = (text: string): string =>
  text.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/gsu, (_, code: string | undefined, letter: string) =>
    code === undefined ? (escapes[letter] ?? letter) : String.fromCharCode(Number.parseInt(code, 16)),
  );
