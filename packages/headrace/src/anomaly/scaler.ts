/**
 * Standardises one number by the running mean and deviation of those before it, made so that incidents neither hide
 * themselves nor widen the scale: statistics learn a value clamped to the mean ± 4 deviations, the value that is
 * returned is never clamped, and the deviation has a floor in the feature's own units.
 */
export class RobustScaler {
  private readonly floor: number;
  private readonly discount: number;
  private weight = 0;
  private sum = 0;
  private squares = 0;

  /**
   * @param floor least deviation, in the units of the value; keeps a feature that hardly moves from turning a tiny
   *   change into the largest one
   * @param memory values after which the past counts for a third (default 2,560, the default forest's memory)
   */
  constructor(floor: number, memory = 2_560) {
    if (!(floor > 0)) throw new RangeError(`floor is ${floor}; it must be above 0`);
    if (!(memory >= 1)) throw new RangeError(`memory is ${memory}; it must be at least 1`);
    this.floor = floor;
    this.discount = 1 / memory;
  }

  /** The value in deviations from the mean of those before; then learns it. The first is 0. */
  scale(value: number): number {
    const mean = this.weight > 0 ? this.sum / this.weight : value;
    const variance = this.weight > 0 ? Math.max(0, this.squares / this.weight - mean * mean) : 0;
    const deviation = Math.max(this.floor, Math.sqrt(variance));
    const learnt = Math.max(mean - 4 * deviation, Math.min(mean + 4 * deviation, value));
    const keep = 1 - this.discount;
    this.weight = this.weight * keep + 1;
    this.sum = this.sum * keep + learnt;
    this.squares = this.squares * keep + learnt * learnt;
    return (value - mean) / deviation;
  }
}

/** How surprising a category is, `-ln(share)`, from decayed counts; memory is bounded. */
export class CategorySurprise {
  private readonly most: number;
  private readonly growth: number;
  private readonly counts = new Map<string, number>();
  private total = 0;
  /** Weight of the next observation: it grows where old counts would otherwise all have to shrink. */
  private unit = 1;

  /** @param most categories that are remembered; the least counted go first. Default 10,000 */
  constructor(most = 10_000, memory = 2_560) {
    this.most = most;
    this.growth = 1 / (1 - 1 / memory);
  }

  /** Surprise of a category by what came before; then counts it. A new one counts as half an observation. */
  observe(category: string): number {
    const count = this.counts.get(category) ?? 0;
    const surprise = -Math.log((count + 0.5 * this.unit) / (this.total + this.unit));
    this.counts.set(category, count + this.unit);
    this.total += this.unit;
    this.unit *= this.growth;
    if (this.unit > 1e100) this.rescale();
    if (this.counts.size > this.most) this.forgetRarest();
    return surprise;
  }

  private rescale(): void {
    for (const [category, count] of this.counts) this.counts.set(category, count / this.unit);
    this.total /= this.unit;
    this.unit = 1;
  }

  /** Drops the rarer half, so that the work is small for each observation. */
  private forgetRarest(): void {
    const byCount = [...this.counts].sort((a, b) => a[1] - b[1]);
    for (const [category, count] of byCount.slice(0, byCount.length >> 1)) {
      this.counts.delete(category);
      this.total -= count;
    }
  }
}
