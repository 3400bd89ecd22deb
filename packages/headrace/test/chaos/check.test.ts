import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkJournal, leftOpen } from './check.ts';
import { commitsBack, committedBefore } from './commits.ts';
import { type JournalEntry, parseJournal } from './journal.ts';

const ends = new Map([
  ['t-0', 40],
  ['t-1', 10],
]);

/** Two partitions of ten records a batch, all as it should be. */
const sound = `S 990 7 1
B 1000 7 1.1 t-0:0-9 t-1:0-9
E 1010 7 1.1
B 1010 7 1.2 t-0:10-19
E 1020 7 1.2
B 1020 7 1.3 t-0:20-29
E 1030 7 1.3
B 1530 7 1.4 t-0:30-39
E 1550 7 1.4
`;

const entriesOf = (text: string): JournalEntry[] => parseJournal(text);

test('a sound journal has no fault, and its longest stall is told', () => {
  assert.deepEqual(checkJournal(entriesOf(sound), ends), {
    records: 50,
    lost: 0,
    outOfOrder: 0,
    duplicates: 0,
    longestStall: 520,
    faults: [],
  });
});

test('a record that was never handed out is lost', () => {
  const verdict = checkJournal(entriesOf(sound.replace('t-0:10-19', 't-0:10-14,16-19')), ends);
  assert.deepEqual([verdict.lost, verdict.outOfOrder, verdict.duplicates], [1, 0, 0]);
  assert.deepEqual(verdict.faults, ['t-0 15 was never worked on']);
});

test('a batch that began and never ended is lost, unless it comes again', () => {
  const cut = sound.replace('E 1550 7 1.4\n', '');
  assert.equal(checkJournal(entriesOf(cut), ends).lost, 10);
  const again = checkJournal(entriesOf(`${cut}B 2000 8 2.1 t-0:30-39\nE 2010 8 2.1\n`), ends);
  assert.deepEqual([again.lost, again.duplicates, again.outOfOrder], [0, 10, 0]);
});

test('a partition without any record in the journal is lost as a whole', () => {
  assert.equal(checkJournal(entriesOf(sound), new Map([...ends, ['t-2', 3]])).lost, 3);
});

test('records that come after later ones are out of order, each of them', () => {
  const swapped = sound.replace('t-0:10-19', 't-0:X').replace('t-0:20-29', 't-0:10-19').replace('t-0:X', 't-0:20-29');
  const verdict = checkJournal(entriesOf(swapped), ends);
  assert.deepEqual([verdict.lost, verdict.outOfOrder, verdict.duplicates], [0, 10, 0]);
  assert.equal(verdict.faults[0], 't-0 10 came after 29');
});

test('order within one batch counts too', () => {
  const verdict = checkJournal(entriesOf(sound.replace('t-0:10-19', 't-0:15-19,10-14')), ends);
  assert.equal(verdict.outOfOrder, 5);
});

test('going back and repeating is duplication, not disorder', () => {
  const verdict = checkJournal(entriesOf(`${sound}B 2000 8 2.1 t-0:15-34\nE 2010 8 2.1\n`), ends);
  assert.deepEqual([verdict.lost, verdict.outOfOrder, verdict.duplicates], [0, 0, 20]);
});

test('two batches of a partition at once in one engine are out of order; in two engines they are duplicates', () => {
  const overlapping = sound.replace('E 1020 7 1.2\nB 1020 7 1.3 t-0:20-29\n', 'B 1020 7 1.3 t-0:20-29\nE 1020 7 1.2\n');
  assert.equal(checkJournal(entriesOf(overlapping), ends).outOfOrder, 10);
  const zombie = checkJournal(
    entriesOf(sound.replace('E 1020 7 1.2\n', 'B 1015 8 2.1 t-0:10-19\nE 1020 7 1.2\nE 1021 8 2.1\n')),
    ends,
  );
  assert.deepEqual([zombie.outOfOrder, zombie.duplicates], [0, 10]);
});

test('what an engine leaves open is what was at work and what was settled beyond its last commit', () => {
  const cut = entriesOf(sound.replace('E 1550 7 1.4\n', ''));
  const open = (committed: Record<string, number>, life = 7) =>
    leftOpen(cut, life, 1540, (partition) => committed[partition]!);
  assert.deepEqual(open({ 't-0': 30, 't-1': 10 }), { inFlight: 10, uncommitted: 0, uncommittedFor: 0 });
  assert.deepEqual(open({ 't-0': 20, 't-1': 10 }), { inFlight: 10, uncommitted: 10, uncommittedFor: 510 });
  assert.deepEqual(open({ 't-0': 15, 't-1': 0 }), { inFlight: 10, uncommitted: 25, uncommittedFor: 530 });
  assert.deepEqual(open({ 't-0': 0, 't-1': 0 }, 8), { inFlight: 0, uncommitted: 0, uncommittedFor: 0 });
});

test('what was committed before a moment is the last commit before it', () => {
  const commits = new Map([
    [
      't-0',
      [
        { offset: 5, at: 100 },
        { offset: 9, at: 200 },
      ],
    ],
  ]);
  assert.deepEqual(
    [100, 101, 200, 201].map((at) => committedBefore(commits, 't-0', at)),
    [0, 5, 5, 9],
  );
  assert.equal(committedBefore(commits, 't-1', 1000), 0);
});

test('a line that is cut off at the end is left out, one that makes no sense is an error', () => {
  assert.equal(entriesOf(`${sound}B 16`).length, 9);
  assert.throws(() => entriesOf(`${sound}nonsense\n`), /not a line of a journal: nonsense/);
  assert.throws(() => checkJournal(entriesOf('E 1 7 1.1\n'), ends), /ended and never began/);
});

test('commits that go back are counted, by partition', () => {
  assert.equal(
    commitsBack(
      new Map(
        Object.entries({ 't-0': [1, 5, 5, 9], 't-1': [2, 1, 3, 2] }).map(([name, offsets]) => [
          name,
          offsets.map((offset, at) => ({ offset, at })),
        ]),
      ),
    ),
    2,
  );
});
