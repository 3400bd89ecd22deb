/** Partitions by topic id. */
export type Partitions = Map<string, Set<number>>;

export interface Subscriber {
  readonly id: string;
  /** Ids of the topics that it wants. */
  readonly topics: ReadonlySet<string>;
  /** What it has now. */
  readonly current: Partitions;
}

export const count = (partitions: Partitions): number => {
  let sum = 0;
  for (const indexes of partitions.values()) sum += indexes.size;
  return sum;
};

export function put(partitions: Partitions, topic: string, index: number): void {
  let indexes = partitions.get(topic);
  if (!indexes) partitions.set(topic, (indexes = new Set()));
  indexes.add(index);
}

export function has(partitions: Partitions, topic: string, index: number): boolean {
  return partitions.get(topic)?.has(index) ?? false;
}

export function* each(partitions: Partitions): Generator<[topic: string, index: number]> {
  for (const [topic, indexes] of partitions) for (const index of indexes) yield [topic, index];
}

export const minus = (from: Partitions, what: Partitions): Partitions => {
  const rest: Partitions = new Map();
  for (const [topic, index] of each(from)) if (!has(what, topic, index)) put(rest, topic, index);
  return rest;
};

/** What both have. */
export const common = (left: Partitions, right: Partitions): Partitions => minus(left, minus(left, right));

/** As messages and the journal have them. */
export const toWire = (partitions: Partitions): { topicId: string; partitions: number[] }[] =>
  [...partitions].map(([topicId, indexes]) => ({ topicId, partitions: [...indexes] }));

export function fromWire(topics: readonly { topicId: string; partitions: readonly number[] }[]): Partitions {
  const partitions: Partitions = new Map();
  for (const { topicId, partitions: indexes } of topics) for (const index of indexes) put(partitions, topicId, index);
  return partitions;
}

export const isSame = (left: Partitions, right: Partitions): boolean =>
  count(left) === count(right) && count(minus(left, right)) === 0;

const remove = (partitions: Partitions, topic: string, index: number): void => {
  const indexes = partitions.get(topic);
  indexes?.delete(index);
  if (indexes?.size === 0) partitions.delete(topic);
};

/** Says who gets what; everyone subscribed to a topic shares its partitions (topic ids with their numbers). */
export type Assignor = (members: readonly Subscriber[], topics: ReadonlyMap<string, number>) => Map<string, Partitions>;

/** Even shares, and as much as possible stays where it is. */
const uniform: Assignor = (members, topics) => {
  const target = new Map<string, Partitions>(members.map(({ id }) => [id, new Map()]));
  const loads = new Map(members.map(({ id }) => [id, 0]));
  const give = (id: string, topic: string, index: number): void => {
    put(target.get(id)!, topic, index);
    loads.set(id, loads.get(id)! + 1);
  };
  const owners = new Map<string, string>();
  for (const { id, current } of members)
    for (const [topic, index] of each(current)) owners.set(`${topic}/${index}`, id);
  for (const [topic, size] of topics) {
    const subscribers = members.filter((member) => member.topics.has(topic));
    if (subscribers.length === 0) continue;
    for (let index = 0; index < size; index++) {
      const owner = owners.get(`${topic}/${index}`);
      if (owner !== undefined && subscribers.some(({ id }) => id === owner)) give(owner, topic, index);
    }
  }
  for (const [topic, size] of topics) {
    const subscribers = members.filter((member) => member.topics.has(topic));
    for (let index = 0; index < size && subscribers.length > 0; index++) {
      if (subscribers.some(({ id }) => has(target.get(id)!, topic, index))) continue;
      let least = subscribers[0]!.id;
      for (const { id } of subscribers) if (loads.get(id)! < loads.get(least)!) least = id;
      give(least, topic, index);
    }
  }
  // Move one partition after another, the last first, from who has most to who has least of those that may have it.
  for (let isMoving = true; isMoving; ) {
    isMoving = false;
    for (const rich of members) {
      for (const [topic, index] of [...each(target.get(rich.id)!)].reverse()) {
        const poor = members.find(
          ({ id, topics: wanted }) => wanted.has(topic) && loads.get(id)! + 1 < loads.get(rich.id)!,
        );
        if (!poor) continue;
        remove(target.get(rich.id)!, topic, index);
        loads.set(rich.id, loads.get(rich.id)! - 1);
        give(poor.id, topic, index);
        isMoving = true;
        break;
      }
    }
  }
  return target;
};

/** Neighbouring partitions together, topic by topic, so that equal topics are shared equally. */
export const range: Assignor = (members, topics) => {
  const target = new Map<string, Partitions>(members.map(({ id }) => [id, new Map()]));
  for (const [topic, size] of topics) {
    const subscribers = members
      .filter((member) => member.topics.has(topic))
      .map(({ id }) => id)
      .sort();
    let next = 0;
    for (const [position, id] of subscribers.entries()) {
      const share = Math.floor(size / subscribers.length) + (position < size % subscribers.length ? 1 : 0);
      for (let taken = 0; taken < share; taken++) put(target.get(id)!, topic, next++);
    }
  }
  return target;
};

export const assignors: Readonly<Record<string, Assignor>> = { uniform, range };
