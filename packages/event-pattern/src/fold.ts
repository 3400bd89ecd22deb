// "Ignoring case" as event-ruler means it: driven by the pattern, one UTF-16 code unit at a time. For each character of
// the pattern the text must go on with its lower or its upper case form (root locale), either of which may be longer
// than one character: "ß" accepts "ß" and "SS", while the pattern "ss" knows nothing of "ß".

import { encodeText } from './utf8.ts';

interface Choice {
  readonly lower: Uint8Array;
  /** The same array as `lower` for characters without case. */
  readonly upper: Uint8Array;
}

export class Fold {
  /** One entry a character, or undefined when every form is one ASCII byte and `lower`/`upper` suffice. */
  private readonly choices: readonly Choice[] | undefined;
  private readonly lower: Uint8Array;
  private readonly upper: Uint8Array;

  constructor(text: string) {
    const choices: Choice[] = [];
    for (const character of text) {
      // Characters outside the basic plane equal themselves; code units of the basic plane fold singly, so that no rule
      // for whole words (the final sigma) can strike.
      if (character.length > 1) {
        const same = encodeText(character);
        choices.push({ lower: same, upper: same });
        continue;
      }
      const lower = encodeText(character.toLowerCase());
      const upper = encodeText(character.toUpperCase());
      choices.push({ lower, upper: equalBytes(lower, upper) ? lower : upper });
    }
    const ascii = choices.every((choice) => choice.lower.length === 1 && choice.upper.length === 1);
    this.choices = ascii ? undefined : choices;
    this.lower = ascii ? Uint8Array.from(choices, (choice) => choice.lower[0]!) : new Uint8Array();
    this.upper = ascii ? Uint8Array.from(choices, (choice) => choice.upper[0]!) : new Uint8Array();
  }

  /** Whether bytes [start, end) are the text up to case. */
  equals(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.choices === undefined) return end - start === this.lower.length && this.asciiAt(bytes, start);
    return this.reach(this.choices, bytes, start, end).includes(end);
  }

  /** Whether they start with it. */
  startsIn(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.choices === undefined) return end - start >= this.lower.length && this.asciiAt(bytes, start);
    return this.reach(this.choices, bytes, start, end).length > 0;
  }

  /** Whether they end with it. */
  endsIn(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.choices === undefined) {
      return end - start >= this.lower.length && this.asciiAt(bytes, end - this.lower.length);
    }
    return this.reachBackwards(this.choices, bytes, start, end);
  }

  private asciiAt(bytes: Uint8Array, start: number): boolean {
    const { lower, upper } = this;
    for (let i = 0; i < lower.length; i++) {
      const c = bytes[start + i];
      if (c !== lower[i] && c !== upper[i]) return false;
    }
    return true;
  }

  /** Offsets at which a match that began at `start` can end. Two forms of different length make more than one. */
  private reach(choices: readonly Choice[], bytes: Uint8Array, start: number, end: number): number[] {
    let offsets = [start];
    for (const { lower, upper } of choices) {
      const next: number[] = [];
      for (const offset of offsets) {
        if (holdsAt(bytes, offset, end, lower)) addOnce(next, offset + lower.length);
        if (upper !== lower && holdsAt(bytes, offset, end, upper)) addOnce(next, offset + upper.length);
      }
      if (next.length === 0) return next;
      offsets = next;
    }
    return offsets;
  }

  private reachBackwards(choices: readonly Choice[], bytes: Uint8Array, start: number, end: number): boolean {
    let offsets = [end];
    for (let n = choices.length - 1; n >= 0; n--) {
      const { lower, upper } = choices[n]!;
      const next: number[] = [];
      for (const offset of offsets) {
        const low = offset - lower.length;
        if (low >= start && holdsAt(bytes, low, end, lower)) addOnce(next, low);
        const high = offset - upper.length;
        if (upper !== lower && high >= start && holdsAt(bytes, high, end, upper)) addOnce(next, high);
      }
      if (next.length === 0) return false;
      offsets = next;
    }
    return true;
  }
}

function addOnce(list: number[], value: number): void {
  if (!list.includes(value)) list.push(value);
}

function holdsAt(bytes: Uint8Array, at: number, end: number, part: Uint8Array): boolean {
  if (end - at < part.length) return false;
  for (let i = 0; i < part.length; i++) if (bytes[at + i] !== part[i]) return false;
  return true;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && holdsAt(a, 0, a.length, b);
}
