/** Carries decided fates out: what is settled is reported, the rest becomes batches that wait. Decides nothing. */
import type { Fate, Settlement } from './settlement.ts';
import { joinSlices, type Slice, singleRecords, splitSlices } from './slice.ts';
import type { WorkItem } from './work-item.ts';

const NONE: readonly WorkItem[] = [];

/** Fates after which a record is settled. */
export type FinalFate = Extract<Fate, { kind: 'done' | 'drop' }>;

/**
 * Takes `item` apart by its records' fates. Returns the batches that come of it, in order, each holding its chunks; the
 * hold of `item` itself is the caller's to give back. What goes to a destination comes first: with several partitions in a
 * batch it may stand behind others on one and before them on the next, where nothing may overtake it. Records of lanes that are on their way to another member begin
 * nothing new: they come again over there.
 */
export function carryOut(
  item: WorkItem,
  settlement: Settlement,
  onSettled: (fate: FinalFate, slices: readonly Slice[]) => void,
): readonly WorkItem[] {
  const { fates } = settlement;
  if ('kind' in fates && (fates.kind === 'done' || fates.kind === 'drop')) {
    onSettled(fates, item.slices);
    return NONE;
  }
  const parts: WorkItem[] = [];
  const deliveries: WorkItem[] = [];
  const keep = (slices: readonly Slice[], change: (part: WorkItem) => void, into = parts): void => {
    const alive = slices.filter(({ lane }) => !lane.draining && !lane.tracker.closed);
    if (alive.length === 0) return;
    for (const { held } of alive) held.hold();
    const part = item.part(alive);
    change(part);
    into.push(part);
  };
  for (const [fate, slices] of groupByFate(item, fates)) {
    switch (fate.kind) {
      case 'done':
      case 'drop':
        onSettled(fate, slices);
        break;
      case 'invoke':
        keep(slices, (part) => {
          part.condition = undefined;
          part.notBefore = 0;
        });
        break;
      case 'retry':
        keep(slices, (part) => {
          if (settlement.spendsAttempt) part.retries++;
          part.notBefore = fate.at;
        });
        break;
      case 'destination':
        keep(
          slices,
          (part) => {
            part.condition = fate.condition;
            part.destination = fate.destination;
            part.failures = 0;
            part.notBefore = 0;
          },
          deliveries,
        );
        break;
      case 'split': {
        let count = 0;
        for (const slice of slices) count += slice.count;
        for (const half of splitSlices(slices, Math.ceil(count / 2)))
          keep(half, (part) => {
            part.notBefore = 0;
          });
        break;
      }
    }
  }
  return [...deliveries, ...parts];
}

/** Records with the same fate, in the order of the event, as few slices as can be. */
function groupByFate(item: WorkItem, fates: Fate | readonly Fate[]): Iterable<[Fate, Slice[]]> {
  if ('kind' in fates) return [[fates, item.slices]];
  const singles = singleRecords(item.slices);
  const groups = new Map<Fate, Slice[]>();
  for (let i = 0; i < singles.length; i++) {
    const group = groups.get(fates[i]!);
    if (group === undefined) groups.set(fates[i]!, [singles[i]!.slice]);
    else group.push(singles[i]!.slice);
  }
  return [...groups].map(([fate, slices]) => [fate, joinSlices(slices)]);
}
