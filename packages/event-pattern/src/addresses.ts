// IP address literals in UTF-8 bytes. IPv4: four groups of 1–3 decimal digits of at most 255. IPv6: RFC 4291 hexadecimal groups with
// at most one "::", no embedded dotted quad, no zone.

/** The eight 16-bit groups of the address that `parseIpv6` read last. */
export const ipv6Groups = new Uint16Array(8);

/** The address as an unsigned 32-bit number, or -1 when these bytes are no IPv4 literal. */
export function parseIpv4(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 7 || end - start > 15) return -1;
  let address = 0;
  let i = start;
  for (let group = 0; group < 4; group++) {
    let value = 0;
    let digits = 0;
    while (i < end) {
      const c = bytes[i]! - 48;
      if (c < 0 || c > 9) break;
      value = value * 10 + c;
      digits++;
      i++;
    }
    if (digits === 0 || digits > 3 || value > 255) return -1;
    address = address * 256 + value;
    if (group < 3) {
      if (i >= end || bytes[i] !== 46) return -1;
      i++;
    }
  }
  return i === end ? address : -1;
}

function hexadecimal(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  const letter = c | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** Reads an IPv6 literal into `ipv6Groups`; false when these bytes are none. */
export function parseIpv6(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < 2 || end - start > 39) return false;
  let count = 0;
  let gap = -1;
  let i = start;
  if (bytes[i] === 58) {
    if (bytes[i + 1] !== 58) return false;
    gap = 0;
    i += 2;
  }
  while (i < end) {
    if (count === 8) return false;
    let value = 0;
    let digits = 0;
    while (i < end) {
      const digit = hexadecimal(bytes[i]!);
      if (digit < 0) break;
      value = value * 16 + digit;
      digits++;
      i++;
    }
    if (digits === 0 || digits > 4) return false;
    ipv6Groups[count++] = value;
    if (i === end) break;
    if (bytes[i] !== 58) return false;
    i++;
    if (i === end) return false;
    if (bytes[i] === 58) {
      if (gap !== -1) return false;
      gap = count;
      i++;
    }
  }
  if (gap === -1) return count === 8;
  if (count === 8) return false;
  ipv6Groups.copyWithin(8 - (count - gap), gap, count);
  ipv6Groups.fill(0, gap, 8 - (count - gap));
  return true;
}
