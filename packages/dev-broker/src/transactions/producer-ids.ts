/** Hands out producer ids; the next one must outlive the process. */
export class ProducerIds {
  next = 1000;
  onChange: ((next: number) => void) | undefined;

  take(): number {
    const id = this.next++;
    this.onChange?.(this.next);
    return id;
  }
}
