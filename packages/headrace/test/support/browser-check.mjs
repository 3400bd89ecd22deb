// Runs in a browser and in Node, on the packed packages; what it answers must be the same.

/** @returns {Promise<Record<string, unknown>>} */
export default async function check() {
  const { RandomCutForest, ThresholdedForest } = await import(
    './node_modules/@headrace/random-cut-forest/dist/index.js'
  );
  const { compilePattern } = await import('./node_modules/@headrace/event-pattern/dist/index.js');

  const rows = Array.from({ length: 1500 }, (_, t) => [Math.fround(Math.sin(t / 9) + (t % 401 === 0 ? 3 : 0)), t % 7]);
  /** @param {'auto' | 'plain'} engine */
  const scored = (engine) => {
    const forest = new RandomCutForest({
      dimensions: 8,
      shingleSize: 4,
      internalShingling: true,
      randomSeed: 7,
      engine,
    });
    const scores = rows.map((row) => forest.scoreAndUpdate(row));
    const again = RandomCutForest.fromBytes(forest.toBytes(), engine);
    const frozen = [...again.scoreBatch(Array.from({ length: 100 }, (_, t) => rows.slice(t, t + 4).flat()))];
    return { scores, frozen, forecast: [...forest.forecast(3)], engine: forest.engine };
  };
  const fast = scored('auto');
  const plain = scored('plain');

  const thresholded = new ThresholdedForest({ dimensions: 8, shingleSize: 8, randomSeed: 7, transform: 'NORMALIZE' });
  const grades = rows.map(([value]) => thresholded.process([100 * value]).grade);

  const pattern = compilePattern('{"value":{"status":[{"numeric":[">=",500]}],"path":[{"prefix":"/api/"}]}}');
  const encoder = new TextEncoder();
  const matches = [
    '{"value":{"status":503,"path":"/api/orders"}}',
    '{"value":{"status":200,"path":"/api/orders"}}',
    '{"value":{"path":"/api/\\u00fc","status":5e2}}',
  ].map((event) => pattern.matches(encoder.encode(event)));

  return {
    engine: fast.engine,
    scores: fast.scores,
    frozen: fast.frozen,
    forecast: fast.forecast,
    kernelsAgree: JSON.stringify({ ...fast, engine: '' }) === JSON.stringify({ ...plain, engine: '' }),
    grades,
    matches,
    globals: ['process', 'Buffer', 'require', 'global'].filter((name) => name in globalThis),
  };
}
