// Numbers compare by value as IEEE 754 binary64, but only where nothing is lost: a number text is comparable when its
// exact decimal value is that of the shortest text of its double (event-ruler compares the same two).

interface Decimal {
  /** Significant digits without leading or trailing zeros; empty for zero. */
  readonly digits: string;
  /** The value is 0.digits × 10^exponent. */
  readonly exponent: number;
}

const parts = /^-?([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/;

function decimalOf(text: string): Decimal {
  const [, integer = '', fraction = '', exponent = '0'] = parts.exec(text)!;
  const all = integer + fraction;
  let start = 0;
  while (start < all.length && all.charCodeAt(start) === 48) start++;
  let end = all.length;
  while (end > start && all.charCodeAt(end - 1) === 48) end--;
  // An exponent of many digits overflows to ±Infinity here, which compares as it should: with nothing.
  return { digits: all.slice(start, end), exponent: integer.length - start + Number(exponent) };
}

/**
 * The value of a JSON number text, or NaN when the text is not comparable (its double denotes another decimal value,
 * overflows or underflows). −0 is returned as 0.
 */
export function comparableNumber(text: string): number {
  const decimal = decimalOf(text);
  if (decimal.digits === '') return 0;
  // The shortest text of a double never has more than 17 digits; do not convert megabytes to find that out.
  if (decimal.digits.length > 17) return Number.NaN;
  const value = Number(text);
  if (value === 0 || !Number.isFinite(value)) return Number.NaN;
  const shortest = decimalOf(String(value));
  return shortest.digits === decimal.digits && shortest.exponent === decimal.exponent ? value : Number.NaN;
}
