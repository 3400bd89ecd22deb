// The synthetic stream of the benchmark: noisy sines with rare shifts. mulberry32 with seed 12345; for row t and
// dimension j the value (1 + 0.1 j) sin(2π t / (50 + 13 j) + j) + 0.2 g, g Gaussian; after each row one draw, and if it is
// below 0.005 a draw for the dimension and one for the sign of a shift by 5. Reference.java makes the same.

function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function makeStream(dimensions: number, rows: number): Float64Array[] {
  const random = mulberry32(12345);
  const gaussian = (): number => {
    let u = random();
    while (u === 0) u = random();
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * random());
  };
  return Array.from({ length: rows }, (_, t) => {
    const row = new Float64Array(dimensions);
    for (let j = 0; j < dimensions; j++) {
      row[j] = (1 + 0.1 * j) * Math.sin((2 * Math.PI * t) / (50 + 13 * j) + j) + 0.2 * gaussian();
    }
    if (random() < 0.005) {
      const j = Math.floor(random() * dimensions);
      row[j]! += random() < 0.5 ? -5 : 5;
    }
    return row;
  });
}
