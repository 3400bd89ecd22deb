/** Running mean and deviation of numbers, each earlier one discounted by `1 - discount` a step. */
export class Deviation {
  readonly discount: number;
  private weight = 0;
  private sum = 0;
  private squares = 0;
  count = 0;

  constructor(discount: number) {
    this.discount = discount;
  }

  get mean(): number {
    return this.weight > 0 ? this.sum / this.weight : 0;
  }

  get deviation(): number {
    if (this.weight === 0) return 0;
    const { mean } = this;
    const variance = this.squares / this.weight - mean * mean;
    // What is left of a constant after rounding is no deviation.
    return variance > 1e-14 * mean * mean ? Math.sqrt(variance) : 0;
  }

  update(value: number): void {
    const keep = 1 - this.discount;
    this.weight = this.weight * keep + 1;
    this.sum = this.sum * keep + value;
    this.squares = this.squares * keep + value * value;
    this.count++;
  }

  reset(): void {
    this.weight = 0;
    this.sum = 0;
    this.squares = 0;
    this.count = 0;
  }
}
