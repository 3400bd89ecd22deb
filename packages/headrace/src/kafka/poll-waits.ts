/**
 * How long polls of one broker wait (ms). A poll wakes this process and the broker each time it ends: with a thousand
 * idle mappings that is most of what they cost. New records end any poll at once, so long ones delay nothing.
 */
export const USUAL_WAIT = 500;
/** A peer that vanished without a word is found out this much later than by the time-out of the request alone. */
export const LONGEST_WAIT = 10_000;
/** How long the poll waits at most while others have much to fetch: who has caught up joins the next one. */
export const SHORT_WAIT = 50;
/** So many polls in a row that brought nothing are a while. */
const IDLE_POLLS = 4;

/** Of the next poll, when so many in a row have brought nothing: doubled with each after a while, up to the longest. */
export function pollWait(emptyPolls: number): number {
  return Math.min(USUAL_WAIT * 2 ** Math.max(0, emptyPolls - IDLE_POLLS + 1), LONGEST_WAIT);
}

/** Of the next poll beside an idle one: who comes then waits for it, so it begins short. */
export function sidePollWait(emptySidePolls: number): number {
  return Math.min(SHORT_WAIT * 2 ** emptySidePolls, USUAL_WAIT);
}
