/** A batch on its way: what it holds, and what it has been through. */
import type { InvokeOutcome } from '../functions/outcome.ts';
import type { Lane } from './lane.ts';
import type { BatchFacts, Failure, FailureCondition } from './settlement.ts';
import { countRecords, type SingleRecord, type Slice, singleRecords } from './slice.ts';

export class WorkItem implements BatchFacts {
  slices: Slice[];
  count: number;
  /** Retries made that count against the limit. */
  retries = 0;
  /** Failures in a row, of any kind. */
  failures = 0;
  /** Invocations tried with these records. */
  invocations = 0;
  /** Those of them that reached the function: what was throttled did not. */
  reached = 0;
  /** Not before this time (ms). */
  notBefore = 0;
  /** An invocation or a delivery is under way. */
  busy = false;
  /** Written and not yet sent; kept only while it is in flight. */
  payload: Buffer | undefined;
  /** Set: goes to the destination, not to the function. */
  condition: FailureCondition | undefined;
  /** Where it goes instead of the mapping's destination. */
  destination: string | undefined;
  firstFailureAt = 0;
  failure: Failure | undefined;
  /** What the last invocation gave. */
  lastOutcome: InvokeOutcome | undefined;
  /** Tail of the function's log, when it was asked for. */
  logTail: string | undefined;

  constructor(slices: Slice[]) {
    this.slices = slices;
    this.count = countRecords(slices);
  }

  records(): SingleRecord[] {
    return singleRecords(this.slices);
  }

  /** A part of this batch, with its history. */
  part(slices: Slice[]): WorkItem {
    const part = new WorkItem(slices);
    part.retries = this.retries;
    part.failures = this.failures;
    part.invocations = this.invocations;
    part.reached = this.reached;
    part.firstFailureAt = this.firstFailureAt;
    part.failure = this.failure;
    part.lastOutcome = this.lastOutcome;
    part.logTail = this.logTail;
    part.condition = this.condition;
    part.destination = this.destination;
    part.notBefore = this.notBefore;
    return part;
  }

  /** The lanes it holds records of, each once, in order. */
  lanes(): Lane[] {
    const lanes: Lane[] = [];
    for (const { lane } of this.slices) if (lanes.at(-1) !== lane && !lanes.includes(lane)) lanes.push(lane);
    return lanes;
  }

  /** True when it is first in line on all its lanes. */
  isFirst(): boolean {
    for (const { lane } of this.slices) if (lane.work[0] !== this) return false;
    return true;
  }
}
