import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOperatorApi } from '../src/gateway/operator-api.ts';
import type {
  BlockingRecord,
  MappingSnapshot,
  PartitionSnapshot,
  RecordPlace,
  StoredMapping,
} from '../src/mappings/definition.ts';
import { call, startApi } from './api-world.ts';

const uuid = '6a5c0000-0000-4000-8000-000000000000';
const blockedBy: BlockingRecord = {
  topic: 'orders',
  partition: 1,
  offset: 42,
  key: null,
  firstFailure: '2026-01-05T10:11:12.000Z',
  attempts: 3,
  error: { type: 'TypeError', message: 'no' },
};
const partition = (number: number, more: Partial<PartitionSnapshot> = {}): PartitionSnapshot => ({
  topic: 'orders',
  partition: number,
  settledOffset: 42,
  committedOffset: 42,
  position: 50,
  highWatermark: 60,
  lag: 18,
  lagSeconds: number,
  inFlight: 0,
  bufferedBytes: 0,
  ...more,
});
const stored = {
  definition: {
    uuid,
    functionArn: 'arn:aws:lambda:us-east-1:123456789012:function:f',
    topics: ['orders'],
    consumerGroupId: 'g',
  },
  status: { state: 'Enabled', stateTransitionReason: 'USER_INITIATED', lastProcessingResult: 'OK', lastModified: 1 },
} as unknown as StoredMapping;
const snapshot = {
  uuid,
  ...stored.status,
  pollers: 1,
  partitions: [partition(0), partition(1, { blockedBy })],
  warnings: [],
} as unknown as MappingSnapshot;

test('an operator sees lag, what blocks a mapping, and who changed what', async () => {
  const mappings = {
    list: () => [stored],
    get: (id: string) => (id === uuid ? stored : undefined),
    snapshot: (id: string) => (id === uuid ? snapshot : undefined),
    skip: (_uuid: string, place: RecordPlace) => ({ ...blockedBy, offset: place.offset }),
    park: (_uuid: string, place: RecordPlace) => ({ ...blockedBy, offset: place.offset }),
  };
  const kept: unknown[] = [];
  await using world = await startApi({
    gateway: {
      apis: [
        createOperatorApi({
          mappings,
          check: async ({ topics }) => ({ ok: false, hops: [{ name: 'topic', subject: topics.join() } as never] }),
          environments: () => [],
          keepMove: async (id, { operation }, move) => {
            const moved = move();
            kept.push([id, operation, moved.record.offset, moved.to]);
            return moved;
          },
          audit: ({ limit, before }) => [{ id: limit, changes: [], before } as never],
        }),
      ],
    },
  });
  const get = (path: string): ReturnType<typeof call> => call(world.endpoint, 'GET', `/headrace/v1/${path}`);
  assert.deepEqual((await get('mappings')).body, {
    mappings: [
      {
        uuid,
        functionArn: stored.definition.functionArn,
        topics: ['orders'],
        consumerGroupId: 'g',
        state: 'Enabled',
        stateTransitionReason: 'USER_INITIATED',
        lastProcessingResult: 'OK',
        lag: 36,
        lagSeconds: 1,
        pollers: 1,
        blocked: 1,
        warnings: [],
      },
    ],
  });
  assert.deepEqual((await get(`mappings/${uuid}/blocked`)).body, { blocked: [blockedBy] });
  assert.equal(((await get(`mappings/${uuid}`)).body['partitions'] as unknown[]).length, 2);
  const checked = { ok: false, hops: [{ name: 'topic', subject: 'orders' }] };
  assert.deepEqual((await get(`mappings/${uuid}/check`)).body, checked);
  assert.equal((await get('mappings/none/check')).status, 404);
  assert.deepEqual((await get('environments')).body, { environments: [] });
  assert.deepEqual((await get('audit?limit=7&before=9')).body, { entries: [{ id: 7, changes: [], before: 9 }] });
  assert.match(String((await get('audit?limit=0')).body['message']), /limit must be a whole number from 1 to 1000/);
  assert.equal((await get('mappings/none')).status, 404);
  const post = (path: string, body: object): ReturnType<typeof call> =>
    call(world.endpoint, 'POST', `/headrace/v1/${path}`, body);
  const place = { topic: 'orders', partition: 1, offset: 42 };
  assert.deepEqual((await post(`mappings/${uuid}/skip`, { ...place, dryRun: true })).body, {
    record: blockedBy,
    dryRun: true,
  });
  assert.deepEqual(kept, []);
  assert.equal((await post(`mappings/${uuid}/skip`, place)).status, 200);
  assert.equal((await post(`mappings/${uuid}/park`, { ...place, to: 'parked' })).status, 200);
  assert.deepEqual(kept, [
    [uuid, 'SkipRecord', 42, undefined],
    [uuid, 'ParkRecord', 42, 'parked'],
  ]);
  assert.match(String((await post(`mappings/${uuid}/park`, place)).body['message']), /to must name the topic/);
  assert.match(
    String((await post(`mappings/${uuid}/skip`, { ...place, offset: -1 })).body['message']),
    /whole numbers/,
  );
  assert.equal((await post('mappings/none/skip', place)).status, 404);
  assert.equal((await get('nothing')).status, 404);
  assert.equal((await call(world.endpoint, 'POST', '/headrace/v1/mappings')).status, 404);
});
