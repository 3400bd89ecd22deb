// Chris Doty-Humphrey's sfc32: four 32-bit words of state, passes PractRand, and needs no 64-bit arithmetic, which is
// what makes it quick in JavaScript and the same in WebAssembly. The state lies in the forest's memory block.

/** Spreads a seed over many words (splitmix32), so that neighbouring seeds give unrelated streams. */
export function seedSequence(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

/** Starts the generator whose state is `words[at .. at+3]`. */
export function seedGenerator(words: Int32Array, at: number, next: () => number): void {
  words[at] = next();
  words[at + 1] = next();
  words[at + 2] = next();
  words[at + 3] = 1;
  for (let i = 0; i < 12; i++) nextUint32(words, at);
}

/** A draw in 0 … 2^32-1. */
export function nextUint32(words: Int32Array, at: number): number {
  const b = words[at + 1]!;
  const c = words[at + 2]!;
  const counter = words[at + 3]!;
  const result = (((words[at]! + b) | 0) + counter) | 0;
  words[at + 3] = (counter + 1) | 0;
  words[at] = b ^ (b >>> 9);
  words[at + 1] = (c + (c << 3)) | 0;
  words[at + 2] = (((c << 21) | (c >>> 11)) + result) | 0;
  return result >>> 0;
}

/** A draw in [0, 1) with 53 bits. */
export function nextDouble(words: Int32Array, at: number): number {
  const high = nextUint32(words, at) >>> 5;
  const low = nextUint32(words, at) >>> 6;
  return (high * 67108864 + low) / 9007199254740992;
}
