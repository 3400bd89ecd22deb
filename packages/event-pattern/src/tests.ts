// What a value list accepts, in a form that judges leaves without making strings: UTF-8 against UTF-8, doubles against
// doubles. All tests share one class, so that the loops over them stay monomorphic.

import { ipv6Groups, parseIpv4, parseIpv6 } from './addresses.ts';
import { ByteStringMap } from './byte-strings.ts';
import type { Fold } from './fold.ts';
import type { Wildcard } from './wildcard.ts';

/** Bits of `Condition.literals`, and the kinds of literal leaves. */
export const literalTrue = 1;
export const literalFalse = 2;
export const literalNull = 4;
export const everyLiteral = literalTrue | literalFalse | literalNull;

const kinds = {
  exactly: 0,
  prefix: 1,
  suffix: 2,
  wildcard: 3,
  foldEquals: 4,
  foldPrefix: 5,
  foldSuffix: 6,
  network4: 7,
  network6: 8,
  butNot: 9,
  oneOf: 10,
} as const;

interface StringTestParts {
  bytes?: Uint8Array;
  fold?: Fold;
  wildcard?: Wildcard;
  /** An IPv4 address; the mask's zero bits are free. */
  address?: number;
  mask?: number;
  groups?: Uint16Array;
  groupMasks?: Uint16Array;
  excluded?: readonly StringTest[];
  set?: ByteStringMap;
}

const noBytes = new Uint8Array();
const noGroups = new Uint16Array(8);

/** A test on string leaves. */
export class StringTest {
  readonly kind: number;
  readonly bytes: Uint8Array;
  private readonly fold: Fold | undefined;
  private readonly wildcard: Wildcard | undefined;
  private readonly address: number;
  private readonly mask: number;
  private readonly groups: Uint16Array;
  private readonly groupMasks: Uint16Array;
  private readonly excluded: readonly StringTest[];
  private readonly set: ByteStringMap | undefined;

  private constructor(kind: number, parts: StringTestParts) {
    this.kind = kind;
    this.bytes = parts.bytes ?? noBytes;
    this.fold = parts.fold;
    this.wildcard = parts.wildcard;
    this.address = parts.address ?? 0;
    this.mask = parts.mask ?? 0;
    this.groups = parts.groups ?? noGroups;
    this.groupMasks = parts.groupMasks ?? noGroups;
    this.excluded = parts.excluded ?? [];
    this.set = parts.set;
  }

  static exactly(bytes: Uint8Array): StringTest {
    return new StringTest(kinds.exactly, { bytes });
  }
  static oneOf(texts: readonly Uint8Array[]): StringTest {
    return new StringTest(kinds.oneOf, { set: new ByteStringMap(texts.map((text) => [text, 1] as const)) });
  }
  static prefix(bytes: Uint8Array): StringTest {
    return new StringTest(kinds.prefix, { bytes });
  }
  static suffix(bytes: Uint8Array): StringTest {
    return new StringTest(kinds.suffix, { bytes });
  }
  static wildcard(wildcard: Wildcard): StringTest {
    return new StringTest(kinds.wildcard, { wildcard });
  }
  static foldEquals(fold: Fold): StringTest {
    return new StringTest(kinds.foldEquals, { fold });
  }
  static foldPrefix(fold: Fold): StringTest {
    return new StringTest(kinds.foldPrefix, { fold });
  }
  static foldSuffix(fold: Fold): StringTest {
    return new StringTest(kinds.foldSuffix, { fold });
  }
  /** Any spelling of an IPv4 address whose first `bits` bits are those of `address`. */
  static network4(address: number, bits: number): StringTest {
    const mask = bits === 0 ? 0 : -1 << (32 - bits);
    return new StringTest(kinds.network4, { address: address & mask, mask });
  }
  /** Any spelling of an IPv6 address whose first `bits` bits are those of `groups`. */
  static network6(groups: Uint16Array, bits: number): StringTest {
    const groupMasks = Uint16Array.from({ length: 8 }, (_, n) => {
      const here = Math.min(Math.max(bits - n * 16, 0), 16);
      return (0xffff << (16 - here)) & 0xffff;
    });
    const masked = groups.map((group, n) => group & groupMasks[n]!);
    return new StringTest(kinds.network6, { groups: masked, groupMasks });
  }
  /** Every string that none of `excluded` accepts. */
  static butNot(excluded: readonly StringTest[]): StringTest {
    return new StringTest(kinds.butNot, { excluded });
  }

  /** The text of a plain equality that nothing but its bytes decides, or undefined. */
  get exactBytes(): Uint8Array | undefined {
    return this.kind === kinds.exactly ? this.bytes : undefined;
  }

  /** Whether the string whose decoded UTF-8 is bytes [start, end) passes. */
  accepts(bytes: Uint8Array, start: number, end: number): boolean {
    switch (this.kind) {
      case kinds.exactly:
        return end - start === this.bytes.length && holdsAt(bytes, start, this.bytes);
      case kinds.prefix:
        return end - start >= this.bytes.length && holdsAt(bytes, start, this.bytes);
      case kinds.suffix:
        return end - start >= this.bytes.length && holdsAt(bytes, end - this.bytes.length, this.bytes);
      case kinds.wildcard:
        return this.wildcard!.matches(bytes, start, end);
      case kinds.foldEquals:
        return this.fold!.equals(bytes, start, end);
      case kinds.foldPrefix:
        return this.fold!.startsIn(bytes, start, end);
      case kinds.foldSuffix:
        return this.fold!.endsIn(bytes, start, end);
      case kinds.network4: {
        const address = parseIpv4(bytes, start, end);
        return address !== -1 && (address & this.mask) === this.address;
      }
      case kinds.network6:
        if (!parseIpv6(bytes, start, end)) return false;
        for (let n = 0; n < 8; n++) if ((ipv6Groups[n]! & this.groupMasks[n]!) !== this.groups[n]) return false;
        return true;
      case kinds.oneOf:
        return this.set!.get(bytes, start, end) !== -1;
      default: {
        const { excluded } = this;
        for (let n = 0; n < excluded.length; n++) if (excluded[n]!.accepts(bytes, start, end)) return false;
        return true;
      }
    }
  }
}

function holdsAt(bytes: Uint8Array, at: number, part: Uint8Array): boolean {
  for (let i = 0; i < part.length; i++) if (bytes[at + i] !== part[i]) return false;
  return true;
}

/** A test on number leaves. A leaf that is not comparable comes as NaN, and every comparison with NaN is false. */
export class NumberTest {
  private readonly low: number;
  private readonly lowOpen: boolean;
  private readonly high: number;
  private readonly highOpen: boolean;
  /** Accepts every number but these; then the bounds are not used. */
  private readonly excluded: readonly number[] | undefined;
  /** Accepts the leaf with this very source text, for plain numbers that are not comparable. */
  private readonly text: Uint8Array | undefined;

  private constructor(
    low: number,
    lowOpen: boolean,
    high: number,
    highOpen: boolean,
    excluded?: readonly number[],
    text?: Uint8Array,
  ) {
    this.low = low;
    this.lowOpen = lowOpen;
    this.high = high;
    this.highOpen = highOpen;
    this.excluded = excluded;
    this.text = text;
  }

  static range(low: number, lowOpen: boolean, high: number, highOpen: boolean): NumberTest {
    return new NumberTest(low, lowOpen, high, highOpen);
  }
  static equal(value: number): NumberTest {
    return new NumberTest(value, false, value, false);
  }
  static butNot(excluded: readonly number[]): NumberTest {
    return new NumberTest(0, false, 0, false, excluded);
  }
  static sameText(text: Uint8Array): NumberTest {
    return new NumberTest(0, false, 0, false, undefined, text);
  }

  /** Whether the number `value` (NaN when not comparable) with the source text in bytes [start, end) passes. */
  accepts(value: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (this.excluded !== undefined) return !this.excluded.includes(value) || Number.isNaN(value);
    if (this.text !== undefined) return end - start === this.text.length && holdsAt(bytes, start, this.text);
    return (
      (this.lowOpen ? value > this.low : value >= this.low) && (this.highOpen ? value < this.high : value <= this.high)
    );
  }
}

/** A value list, compiled: some leaf at the path must pass, or there must be none where `absent` is set. */
export interface TestList {
  /** Holds without any leaf at the path (`exists: false`). */
  readonly absent: boolean;
  /** Literals that pass. */
  readonly literals: number;
  readonly anyString: boolean;
  readonly anyNumber: boolean;
  readonly strings: readonly StringTest[];
  readonly numbers: readonly NumberTest[];
  /** The texts, when plain strings that only their bytes decide are all that a string leaf can pass. */
  readonly plain: readonly Uint8Array[] | undefined;
  /** The list as JSON, for explanations. */
  readonly source: string;
}

/** Whether a string leaf passes some test of the list. */
export function acceptsString(list: TestList, bytes: Uint8Array, start: number, end: number): boolean {
  if (list.anyString) return true;
  const { strings } = list;
  for (let n = 0; n < strings.length; n++) if (strings[n]!.accepts(bytes, start, end)) return true;
  return false;
}

/** Whether a number leaf passes some test of the list. */
export function acceptsNumber(list: TestList, value: number, bytes: Uint8Array, start: number, end: number): boolean {
  if (list.anyNumber) return true;
  const { numbers } = list;
  for (let n = 0; n < numbers.length; n++) if (numbers[n]!.accepts(value, bytes, start, end)) return true;
  return false;
}

/** Whether `true`, `false` or `null` passes some test of the list. */
export function acceptsLiteral(list: TestList, literal: number): boolean {
  return (list.literals & literal) !== 0;
}
