/** Lines of a text in UTF-8, without their ends (LF or CRLF) and without a byte order mark; empty ones are left out. */
export function* textLines(bytes: Buffer): Generator<string> {
  let start = bytes.length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  while (start < bytes.length) {
    const newline = bytes.indexOf(0x0a, start);
    const next = newline === -1 ? bytes.length : newline;
    const end = next > start && bytes[next - 1] === 0x0d ? next - 1 : next;
    if (end > start) yield bytes.toString('utf8', start, end);
    start = next + 1;
  }
}

/** The delimiter of a CSV by its header: the most frequent of comma, semicolon and tab outside quotes. */
export function findDelimiter(header: string): string {
  const bare = header.replace(/"[^"]*"/g, '');
  const count = (delimiter: string): number => bare.split(delimiter).length;
  return [',', ';', '\t'].reduce((best, delimiter) => (count(delimiter) > count(best) ? delimiter : best));
}

/** Rows of a CSV (RFC 4180): quoted fields may hold delimiters, doubled quotes and line ends. */
export function* csvRows(bytes: Buffer, delimiter: string): Generator<string[]> {
  let pending = '';
  for (const line of textLines(bytes)) {
    pending = pending === '' ? line : `${pending}\n${line}`;
    // An odd number of quotes: the last field goes on in the next line.
    if (quotes(pending) % 2 === 1) continue;
    yield splitRow(pending, delimiter);
    pending = '';
  }
  if (pending !== '') yield splitRow(pending, delimiter);
}

function quotes(text: string): number {
  let count = 0;
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at + 1)) count += 1;
  return count;
}

function splitRow(row: string, delimiter: string): string[] {
  if (!row.includes('"')) return row.split(delimiter);
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (row[at] === '"') {
      let field = '';
      let from = at + 1;
      for (;;) {
        const quote = row.indexOf('"', from);
        if (quote === -1) {
          field += row.slice(from);
          at = row.length;
          break;
        }
        field += row.slice(from, quote);
        at = quote + 1;
        if (row[at] !== '"') break;
        field += '"';
        from = at + 1;
      }
      const end = row.indexOf(delimiter, at);
      fields.push(field + row.slice(at, end === -1 ? undefined : end));
      if (end === -1) return fields;
      at = end + 1;
    } else {
      const end = row.indexOf(delimiter, at);
      fields.push(row.slice(at, end === -1 ? undefined : end));
      if (end === -1) return fields;
      at = end + 1;
    }
  }
}
