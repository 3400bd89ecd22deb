import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '@headrace/testing';
import { type ApiWorld, accountId, call, region, role, startApi, zipOf } from './api-world.ts';

let world: ApiWorld;
const arn = `arn:aws:lambda:${region}:${accountId}:function:consumer`;
const cluster = `arn:aws:kafka:${region}:${accountId}:cluster/demo/a93759a9-c9d0-4952-984c-492c6bfa2be8-13`;
const collection = '/2015-03-31/event-source-mappings';

before(async () => {
  world = await startApi();
  const ZipFile = (await zipOf({ 'index.mjs': 'export const handler = async () => 1;' })).toString('base64');
  const made = await call(world.endpoint, 'POST', '/2015-03-31/functions', {
    FunctionName: 'consumer',
    Role: role,
    Runtime: 'nodejs22.x',
    Handler: 'index.handler',
    Code: { ZipFile },
  });
  assert.equal(made.status, 201);
});

after(() => world[Symbol.asyncDispose]());

let topics = 0;
/** A request for a topic of its own. */
const self = (more: object = {}): Record<string, unknown> => ({
  FunctionName: 'consumer',
  Topics: [`topic-${++topics}`],
  SelfManagedEventSource: { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: ['kafka:1000'] } },
  ...more,
});

const settled = async (uuid: string): Promise<Record<string, unknown>> =>
  await eventually(async () => {
    const { body } = await call(world.endpoint, 'GET', `${collection}/${uuid}`);
    return /^(En|Dis)abled$/.test(String(body['State'])) ? body : undefined;
  });

const create = async (request: object): Promise<string> => {
  const made = await call(world.endpoint, 'POST', collection, request);
  assert.equal(made.status, 202, JSON.stringify(made.body));
  await settled(String(made.body['UUID']));
  return String(made.body['UUID']);
};

test('a mapping of a self-managed cluster answers as AWS was recorded to', async () => {
  const access = [{ Type: 'BASIC_AUTH', URI: `arn:aws:secretsmanager:${region}:${accountId}:secret:s` }];
  const request = self({ SourceAccessConfigurations: access });
  const { status, body } = await call(world.endpoint, 'POST', `${collection}/`, request);
  assert.equal(status, 202);
  const { UUID, LastModified, ...rest } = body;
  assert.match(String(UUID), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.ok(typeof LastModified === 'number' && Math.abs(LastModified - Date.now() / 1_000) < 60);
  assert.deepEqual(rest, {
    EventSourceMappingArn: `arn:aws:lambda:${region}:${accountId}:event-source-mapping:${UUID}`,
    StartingPosition: 'TRIM_HORIZON',
    BatchSize: 100,
    FunctionArn: arn,
    LastProcessingResult: 'No records processed',
    State: 'Creating',
    StateTransitionReason: 'USER_INITIATED',
    Topics: request['Topics'],
    SourceAccessConfigurations: access,
    SelfManagedEventSource: { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: ['kafka:1000'] } },
    SelfManagedKafkaEventSourceConfig: { ConsumerGroupId: UUID },
  });
  const found = await settled(String(UUID));
  assert.equal(found['State'], 'Enabled');
});

test('a managed cluster is named by its ARN, and the function by the qualifier that was given', async () => {
  const request = {
    FunctionName: 'consumer:$LATEST',
    EventSourceArn: cluster,
    Topics: ['managed'],
    AmazonManagedKafkaEventSourceConfig: { ConsumerGroupId: 'group-1' },
  };
  const { body } = await call(world.endpoint, 'POST', collection, request);
  assert.deepEqual(
    [body['FunctionArn'], body['EventSourceArn'], body['AmazonManagedKafkaEventSourceConfig']],
    [`${arn}:$LATEST`, cluster, { ConsumerGroupId: 'group-1' }],
  );
  const listed = await call(world.endpoint, 'GET', `${collection}?EventSourceArn=${encodeURIComponent(cluster)}`);
  assert.equal((listed.body['EventSourceMappings'] as unknown[]).length, 1);
});

test('an update keeps what it does not name, replaces lists, and clears by the empty forms', async () => {
  const uuid = await create(
    self({
      FilterCriteria: { Filters: [{ Pattern: '{"value":{"a":[1]}}' }] },
      DestinationConfig: { OnFailure: { Destination: `arn:aws:sqs:${region}:${accountId}:dead` } },
      ProvisionedPollerConfig: { MinimumPollers: 2, MaximumPollers: 4 },
      MaximumRetryAttempts: 3,
    }),
  );
  const update = async (request: object): Promise<Record<string, unknown>> => {
    const { status, body } = await call(world.endpoint, 'PUT', `${collection}/${uuid}`, request);
    assert.equal(status, 202, JSON.stringify(body));
    await settled(uuid);
    return body;
  };
  const bigger = await update({ BatchSize: 500 });
  assert.deepEqual([bigger['State'], bigger['BatchSize'], bigger['MaximumRetryAttempts']], ['Updating', 500, 3]);
  assert.deepEqual(bigger['ProvisionedPollerConfig'], { MinimumPollers: 2, MaximumPollers: 4 });
  const cleared = await update({
    FilterCriteria: {},
    DestinationConfig: { OnFailure: { Destination: '' } },
    ProvisionedPollerConfig: {},
  });
  for (const member of ['FilterCriteria', 'DestinationConfig', 'ProvisionedPollerConfig']) {
    assert.equal(member in cleared, false, member);
  }
  await update({ ProvisionedPollerConfig: { MaximumPollers: 4 } });
  const over = await call(world.endpoint, 'PUT', `${collection}/${uuid}`, {
    ProvisionedPollerConfig: { MinimumPollers: 5 },
  });
  assert.deepEqual(
    [over.status, over.body['message']],
    [400, 'maximumPollers must be greater than or equal to minimumPollers.'],
    'one bound is held against the other that was set before',
  );
  assert.equal((await update({ Enabled: false }))['State'], 'Disabling');
  assert.equal((await settled(uuid))['State'], 'Disabled');
  assert.equal((await update({ Enabled: true }))['State'], 'Enabling');
  const group = await call(world.endpoint, 'PUT', `${collection}/${uuid}`, {
    SelfManagedKafkaEventSourceConfig: { ConsumerGroupId: uuid },
  });
  assert.deepEqual(
    [group.status, group.body['message']],
    [
      400,
      "Unsupported 'selfManagedKafkaEventSourceConfig.consumerGroupId' parameter for given event source mapping type.",
    ],
  );
});

test('a schema registry holds a mapping in provisioned mode until it is removed', async () => {
  const registry = {
    SchemaRegistryURI: 'https://registry.example.com',
    EventRecordFormat: 'JSON',
    SchemaValidationConfigs: [{ Attribute: 'VALUE' }],
  };
  const uuid = await create(
    self({
      ProvisionedPollerConfig: { MinimumPollers: 1 },
      SelfManagedKafkaEventSourceConfig: { SchemaRegistryConfig: registry },
    }),
  );
  const update = (request: object): ReturnType<typeof call> =>
    call(world.endpoint, 'PUT', `${collection}/${uuid}`, request);
  assert.equal((await update({ ProvisionedPollerConfig: {} })).status, 400);
  const kept = await update({ SelfManagedKafkaEventSourceConfig: {} });
  assert.deepEqual(kept.body['SelfManagedKafkaEventSourceConfig'], {
    ConsumerGroupId: uuid,
    SchemaRegistryConfig: registry,
  });
  await settled(uuid);
  const removed = await update({
    SelfManagedKafkaEventSourceConfig: { SchemaRegistryConfig: {} },
    ProvisionedPollerConfig: {},
  });
  assert.equal(removed.status, 202);
  assert.deepEqual(removed.body['SelfManagedKafkaEventSourceConfig'], { ConsumerGroupId: uuid });
});

test('a change during a change is refused, and a deleted mapping is gone', async () => {
  const uuid = await create(self());
  world.mappings.hold = true;
  assert.equal((await call(world.endpoint, 'PUT', `${collection}/${uuid}`, { BatchSize: 5 })).status, 202);
  const update = await call(world.endpoint, 'PUT', `${collection}/${uuid}`, { BatchSize: 6 });
  assert.deepEqual(
    [update.status, update.type, update.body],
    [
      400,
      'ResourceInUseException',
      { Type: 'User', Message: 'Cannot update the event source mapping because it is in use.' },
    ],
  );
  const removal = await call(world.endpoint, 'DELETE', `${collection}/${uuid}`);
  assert.equal(removal.body['Message'], 'Cannot delete the event source mapping because it is in use.');
  world.mappings.hold = false;
  const other = await create(self());
  const deleted = await call(world.endpoint, 'DELETE', `${collection}/${other}`);
  assert.deepEqual([deleted.status, deleted.body['State']], [202, 'Deleting']);
  await eventually(async () => (await call(world.endpoint, 'GET', `${collection}/${other}`)).status === 404);
  assert.deepEqual((await call(world.endpoint, 'GET', `${collection}/${other}`)).body, {
    Type: 'User',
    Message: 'The resource you requested does not exist.',
  });
});

test('the same function, topic and an overlapping broker list is one mapping too many', async () => {
  const uuid = await create(self({ Topics: ['twice'] }));
  const again = self({
    Topics: ['twice'],
    SelfManagedEventSource: { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: ['kafka:1000', 'kafka:2000'] } },
    SelfManagedKafkaEventSourceConfig: { ConsumerGroupId: 'another' },
  });
  const answer = await call(world.endpoint, 'POST', collection, again);
  assert.deepEqual(
    [answer.status, answer.type, answer.body],
    [
      409,
      'ResourceConflictException',
      {
        Type: 'User',
        message: `An event source mapping with event source ("kafka:1000,kafka:2000"), function ("${arn}"), topics ("twice") already exists. Please update or delete the existing mapping with UUID ${uuid}`,
      },
    ],
  );
});

test('a consumer group belongs to one mapping, also where another cluster is named: both names may stand for one', async () => {
  const ConsumerGroupId = 'only-one';
  const uuid = await create(self({ SelfManagedKafkaEventSourceConfig: { ConsumerGroupId } }));
  const { status, type, body } = await call(world.endpoint, 'POST', collection, {
    FunctionName: 'consumer',
    EventSourceArn: cluster,
    Topics: ['grouped'],
    AmazonManagedKafkaEventSourceConfig: { ConsumerGroupId },
  });
  assert.deepEqual([status, type], [409, 'ResourceConflictException']);
  assert.match(String(body['message']), new RegExp(`^The consumer group \\("only-one"\\) is used by .* ${uuid}`));
});

// Spec ESM 13.1, cell by cell, at the door.
const secret = `arn:aws:secretsmanager:${region}:${accountId}:secret:s`;
const network = [
  { Type: 'VPC_SUBNET', URI: 'subnet:subnet-0abc' },
  { Type: 'VPC_SECURITY_GROUP', URI: 'security_group:sg-0abc' },
];
const cells: readonly [access: readonly { Type: string; URI: string }[], msk: boolean, selfManaged: boolean][] = [
  [[], true, true],
  [[{ Type: 'SASL_SCRAM_512_AUTH', URI: secret }], true, true],
  [[{ Type: 'SASL_SCRAM_256_AUTH', URI: secret }], false, true],
  [[{ Type: 'BASIC_AUTH', URI: secret }], false, true],
  [[{ Type: 'CLIENT_CERTIFICATE_TLS_AUTH', URI: secret }], true, true],
  [[{ Type: 'SERVER_ROOT_CA_CERTIFICATE', URI: secret }], false, true],
  [network, false, true],
  [[network[0]!], false, false],
  [[network[1]!], false, false],
  [[{ Type: 'VIRTUAL_HOST', URI: '/' }], false, false],
];

test('each access configuration is taken or refused by its kind of cluster, on create and on update', async () => {
  for (const isManaged of [true, false]) {
    const request = (): Record<string, unknown> =>
      isManaged ? { FunctionName: 'consumer', EventSourceArn: cluster, Topics: [`topic-${++topics}`] } : self();
    const uuid = await create(request());
    for (const [SourceAccessConfigurations, msk, selfManaged] of cells) {
      const isTaken = isManaged ? msk : selfManaged;
      const what = `${SourceAccessConfigurations.map(({ Type }) => Type)} for ${isManaged ? 'MSK' : 'self-managed'}`;
      const answers = [
        await call(world.endpoint, 'POST', collection, { ...request(), SourceAccessConfigurations }),
        await call(world.endpoint, 'PUT', `${collection}/${uuid}`, { SourceAccessConfigurations }),
      ];
      for (const { status, type, body } of answers) {
        assert.equal(status, isTaken ? 202 : 400, `${what}: ${JSON.stringify(body)}`);
        if (isTaken) continue;
        assert.equal(type, 'InvalidParameterValueException');
        assert.match(
          String(body['message']),
          /SourceAccessConfigurations\[0\]\.Type|VPC_SUBNET and VPC_SECURITY_GROUP/,
        );
      }
      await settled(uuid);
    }
  }
});

test('lists hold a hundred mappings a page, each once, by function when asked', async () => {
  for (let index = 0; index < 120; index += 1) await create(self());
  const seen = new Set<string>();
  let marker = '';
  let pages = 0;
  do {
    const { body } = await call(world.endpoint, 'GET', `${collection}?FunctionName=consumer&MaxItems=5000${marker}`);
    const page = body['EventSourceMappings'] as { UUID: string }[];
    assert.ok(page.length <= 100);
    for (const { UUID } of page) assert.ok(!seen.has(UUID) && seen.add(UUID));
    marker = body['NextMarker'] === undefined ? '' : `&Marker=${encodeURIComponent(String(body['NextMarker']))}`;
    pages += 1;
  } while (marker !== '');
  const all = world.mappings.list().filter(({ definition }) => definition.functionArn === arn);
  assert.equal(seen.size, all.length);
  assert.equal(pages, Math.ceil(all.length / 100));
  const none = await call(world.endpoint, 'GET', `${collection}?FunctionName=nobody`);
  assert.deepEqual(none.body, { EventSourceMappings: [] });
});

test('tags live on the mapping and go with it', async () => {
  const made = await call(world.endpoint, 'POST', collection, self({ Tags: { team: 'a' } }));
  const path = `/2017-03-31/tags/${encodeURIComponent(String(made.body['EventSourceMappingArn']))}`;
  assert.deepEqual((await call(world.endpoint, 'GET', path)).body, { Tags: { team: 'a' } });
  assert.equal((await call(world.endpoint, 'POST', path, { Tags: { stage: 'b' } })).status, 204);
  assert.equal((await call(world.endpoint, 'DELETE', `${path}?tagKeys=team&tagKeys=none`)).status, 204);
  assert.deepEqual((await call(world.endpoint, 'GET', path)).body, { Tags: { stage: 'b' } });
  await settled(String(made.body['UUID']));
  await call(world.endpoint, 'DELETE', `${collection}/${made.body['UUID']}`);
  await eventually(async () => (await call(world.endpoint, 'GET', path)).status === 404);
});

const unsupported = (name: string): string => `Unsupported '${name}' parameter for given event source mapping type.`;
const refusals: readonly [string, () => object, string, string][] = [
  ['no source', () => ({ FunctionName: 'consumer' }), 'InvalidParameterValueException', 'Unrecognized event source.'],
  [
    'an unknown function',
    () => self({ FunctionName: 'nobody' }),
    'InvalidParameterValueException',
    'Function does not exist',
  ],
  [
    'an unknown alias',
    () => self({ FunctionName: 'consumer:nobody' }),
    'InvalidParameterValueException',
    'Function does not exist',
  ],
  [
    'a success destination',
    () => self({ DestinationConfig: { OnSuccess: { Destination: `arn:aws:sqs:${region}:${accountId}:q` } } }),
    'InvalidParameterValueException',
    'Unsupported DestinationConfig parameter for given event source mapping type.',
  ],
  [
    'a starting position that is none',
    () => self({ StartingPosition: 'invalid' }),
    'ValidationException',
    "1 validation error detected: Value 'invalid' at 'startingPosition' failed to satisfy constraint: Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
  ],
  [
    'a filter that is no pattern',
    () => self({ FilterCriteria: { Filters: [{ Pattern: '{"value":"scalar"}' }] } }),
    'InvalidParameterValueException',
    'Invalid filter pattern definition.',
  ],
  [
    'a filter that is null',
    () => self({ FilterCriteria: { Filters: [{ Pattern: 'null' }] } }),
    'InvalidParameterValueException',
    'Invalid filter pattern definition.',
  ],
  [
    'parallelism',
    () => self({ ParallelizationFactor: 2 }),
    'InvalidParameterValueException',
    unsupported('parallelizationFactor'),
  ],
  [
    'windows',
    () => self({ TumblingWindowInSeconds: 2 }),
    'InvalidParameterValueException',
    unsupported('tumblingWindowInSeconds'),
  ],
  [
    'scaling of queues',
    () => self({ ScalingConfig: { MaximumConcurrency: 2 } }),
    'InvalidParameterValueException',
    unsupported('scalingConfig'),
  ],
  ['queues', () => self({ Queues: ['q'] }), 'InvalidParameterValueException', unsupported('queues')],
  [
    'queue mode',
    () => self({ SelfManagedKafkaEventSourceConfig: { ConsumptionMode: 'Queue' } }),
    'InvalidParameterValueException',
    "Unsupported 'ConsumptionMode' parameter for given event source mapping type",
  ],
  [
    'more than one topic',
    () => self({ Topics: ['one', 'two'] }),
    'ValidationException',
    "1 validation error detected: Value '[one, two]' at 'topics' failed to satisfy constraint: Member must have length less than or equal to 1",
  ],
  [
    'a timestamp in the future',
    () => self({ StartingPosition: 'AT_TIMESTAMP', StartingPositionTimestamp: Date.now() / 1000 + 3600 }),
    'InvalidParameterValueException',
    "'startingPositionTimestamp' must not be in the future.",
  ],
  [
    'no topic',
    () => self({ Topics: undefined }),
    'InvalidParameterValueException',
    "Required 'topics' parameter is missing.",
  ],
  [
    'an age between 0 and 59',
    () => self({ MaximumRecordAgeInSeconds: 30 }),
    'InvalidParameterValueException',
    'maximumRecordAgeInSeconds must be -1 or between 60 and 604800.',
  ],
  [
    'a batch of nothing',
    () => self({ BatchSize: 0 }),
    'ValidationException',
    "1 validation error detected: Value '0' at 'batchSize' failed to satisfy constraint: Member must have value greater than or equal to 1",
  ],
  [
    'a timestamp without AT_TIMESTAMP',
    () => self({ StartingPosition: 'LATEST', StartingPositionTimestamp: 1 }),
    'InvalidParameterValueException',
    "'startingPositionTimestamp' is only valid with startingPosition AT_TIMESTAMP.",
  ],
  [
    'AT_TIMESTAMP without a timestamp',
    () => self({ StartingPosition: 'AT_TIMESTAMP' }),
    'InvalidParameterValueException',
    "1 validation error detected: Value null at 'startingPositionTimestamp' failed to satisfy constraint: Member must not be null.",
  ],
  [
    'a destination that is the source',
    () => self({ Topics: ['same'], DestinationConfig: { OnFailure: { Destination: 'kafka://same' } } }),
    'InvalidParameterValueException',
    'The on-failure destination topic must not be the topic of the event source mapping.',
  ],
  [
    'more pollers at least than at most',
    () => self({ ProvisionedPollerConfig: { MinimumPollers: 5, MaximumPollers: 2 } }),
    'InvalidParameterValueException',
    'maximumPollers must be greater than or equal to minimumPollers.',
  ],
  [
    'a stream without a starting position',
    () => ({ FunctionName: 'consumer', EventSourceArn: `arn:aws:kinesis:${region}:${accountId}:stream/s` }),
    'InvalidParameterValueException',
    "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.",
  ],
];

for (const [what, request, type, message] of refusals) {
  test(`${what} is refused to the letter`, async () => {
    const count = world.mappings.list().length;
    const answer = await call(world.endpoint, 'POST', collection, request());
    const expected = type === 'ValidationException' ? { message } : { Type: 'User', message };
    assert.deepEqual([answer.status, answer.type, answer.body], [400, type, expected]);
    assert.equal(world.mappings.list().length, count);
  });
}

test('a source that is not Kafka is refused by its name', async () => {
  const request = { FunctionName: 'consumer', EventSourceArn: `arn:aws:sqs:${region}:${accountId}:q` };
  const { status, body } = await call(world.endpoint, 'POST', collection, request);
  assert.equal(status, 501);
  assert.match(String(body['message']), /^Event source mappings of sqs are not implemented by Headrace/);
});

test('without a store an outside cluster needs a consumer group', async () => {
  await using fleeting = await startApi({ lambda: { isOwnBroker: () => false } });
  fleeting.api.registerFunction({ functionName: 'consumer', code: { kind: 'http', url: 'http://127.0.0.1:1' } });
  const refused = await call(fleeting.endpoint, 'POST', collection, self());
  assert.equal(refused.status, 400);
  assert.match(String(refused.body['message']), /needs a ConsumerGroupId for an outside Kafka cluster/);
  const named = self({ SelfManagedKafkaEventSourceConfig: { ConsumerGroupId: 'mine' } });
  assert.equal((await call(fleeting.endpoint, 'POST', collection, named)).status, 202);
});
