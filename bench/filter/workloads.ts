// Events of three sizes and, for each, eight pattern sets with the conditions that a user would write by hand. Values are
// seeded and vary from event to event; whether an event matches is decided here, so that any match rate can be had.

export type Random = () => number;

/** Seeded (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const below = (random: Random, n: number): number => Math.floor(random() * n);
const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]!;
const hex = (random: Random, digits: number): string =>
  Array.from({ length: digits }, () => '0123456789abcdef'[below(random, 16)]).join('');
const decimal = (random: Random, from: number, to: number, places: number): number =>
  Number((from + random() * (to - from)).toFixed(places));

/** One condition: how it is written, how a user writes it by hand, and how an event comes to satisfy it. */
interface Condition<E> {
  readonly pattern: object;
  readonly byHand: (event: E) => boolean;
  readonly satisfy: (event: E, random: Random) => void;
}

export interface Case<E = unknown> {
  readonly name: string;
  readonly patterns: readonly string[];
  /** Whether the parsed event matches any of the patterns, as written by hand. */
  readonly byHand: (event: E) => boolean;
  /** An event that matches, or does not. */
  readonly event: (random: Random, matches: boolean) => E;
}

export interface Workload {
  readonly name: string;
  readonly cases: readonly Case[];
}

function merge(patterns: readonly object[]): object {
  const merged: Record<string, unknown> = {};
  for (const pattern of patterns) {
    for (const [name, rule] of Object.entries(pattern)) {
      const held = merged[name];
      merged[name] = held !== undefined && !Array.isArray(rule) ? merge([held as object, rule as object]) : rule;
    }
  }
  return merged;
}

/** The eight cases on events that `make` makes, which by themselves satisfy none of the conditions. */
function casesOf<E>(
  make: (random: Random) => E,
  singles: Readonly<Record<'numeric' | 'prefix' | 'anything-but' | 'wildcard' | 'cidr', Condition<E>>>,
  branches: readonly Condition<E>[],
  hundred: readonly Condition<E>[],
): Case[] {
  const all = Object.values(singles);
  const single = ([name, condition]: [string, Condition<E>]): Case<E> => ({
    name: `one ${name}`,
    patterns: [JSON.stringify(condition.pattern)],
    byHand: condition.byHand,
    event(random, matches) {
      const event = make(random);
      if (matches) condition.satisfy(event, random);
      return event;
    },
  });
  const anyOf = (name: string, conditions: readonly Condition<E>[], patterns: readonly string[]): Case<E> => ({
    name,
    patterns,
    byHand: (event) => conditions.some((condition) => condition.byHand(event)),
    event(random, matches) {
      const event = make(random);
      if (matches) pick(random, conditions).satisfy(event, random);
      return event;
    },
  });
  const cases: Case<E>[] = [
    ...Object.entries(singles).map(single),
    {
      name: 'five mixed',
      patterns: [JSON.stringify(merge(all.map(({ pattern }) => pattern)))],
      byHand: (event) => all.every((condition) => condition.byHand(event)),
      // An event that does not match misses by one condition, any of the five.
      event(random, matches) {
        const event = make(random);
        const missing = matches ? undefined : pick(random, all);
        for (const condition of all) if (condition !== missing) condition.satisfy(event, random);
        return event;
      },
    },
    anyOf('$or of eight', branches, [JSON.stringify({ $or: branches.map(({ pattern }) => pattern) })]),
    anyOf(
      'set of 100',
      hundred,
      hundred.map(({ pattern }) => JSON.stringify(pattern)),
    ),
  ];
  return cases as Case[];
}

// ---------------------------------------------------------------------------------------------- 0.3 KB: telemetry

interface Telemetry {
  vehicle_id: string;
  timestamp: number;
  latitude: number;
  longitude: number;
  speed_kmh: number;
  engine_temp: number;
  tire_pressure: number;
  fuel_level: number;
  odometer_km: number;
  driver: string;
  status: string;
  gateway: string;
  firmware: string;
}

const telemetry = (random: Random): Telemetry => ({
  vehicle_id: `van-${below(random, 100_000)}`,
  timestamp: 1_700_000_000_000 + below(random, 1e9),
  latitude: decimal(random, 47, 55, 6),
  longitude: decimal(random, 6, 15, 6),
  speed_kmh: below(random, 130),
  engine_temp: decimal(random, 70, 110, 1),
  tire_pressure: decimal(random, 32, 40, 1),
  fuel_level: decimal(random, 0.1, 1, 2),
  odometer_km: below(random, 400_000),
  driver: `driver-${1000 + below(random, 5000)}`,
  status: pick(random, ['parked', 'offline']),
  gateway: `10.${128 + below(random, 100)}.${below(random, 256)}.${below(random, 256)}`,
  firmware: `4.${below(random, 20)}.${below(random, 10)}`,
});

const telemetryCases = casesOf<Telemetry>(
  telemetry,
  {
    numeric: {
      pattern: { tire_pressure: [{ numeric: ['<', 32] }] },
      byHand: (event) => event.tire_pressure < 32,
      satisfy: (event, random) => (event.tire_pressure = decimal(random, 20, 31.9, 1)),
    },
    prefix: {
      pattern: { vehicle_id: [{ prefix: 'truck-' }] },
      byHand: (event) => event.vehicle_id.startsWith('truck-'),
      satisfy: (event, random) => (event.vehicle_id = `truck-${below(random, 100_000)}`),
    },
    'anything-but': {
      pattern: { status: [{ 'anything-but': ['parked', 'offline'] }] },
      byHand: (event) => event.status !== 'parked' && event.status !== 'offline',
      satisfy: (event, random) => (event.status = pick(random, ['moving', 'idle', 'charging'])),
    },
    wildcard: {
      pattern: { firmware: [{ wildcard: '4.*-rc*' }] },
      byHand: (event) => /^4\..*-rc.*$/s.test(event.firmware),
      satisfy: (event, random) => (event.firmware = `4.${below(random, 20)}.0-rc${below(random, 9)}`),
    },
    cidr: {
      pattern: { gateway: [{ cidr: '10.64.0.0/10' }] },
      byHand: (event) => inNetwork(event.gateway, 0x0a400000, 10),
      satisfy: (event, random) => (event.gateway = `10.${64 + below(random, 64)}.${below(random, 256)}.7`),
    },
  },
  [
    {
      pattern: { tire_pressure: [{ numeric: ['<', 20] }] },
      byHand: (event) => event.tire_pressure < 20,
      satisfy: (event) => (event.tire_pressure = 18.5),
    },
    {
      pattern: { engine_temp: [{ numeric: ['>', 120] }] },
      byHand: (event) => event.engine_temp > 120,
      satisfy: (event) => (event.engine_temp = 131.5),
    },
    {
      pattern: { fuel_level: [{ numeric: ['<=', 0.05] }] },
      byHand: (event) => event.fuel_level <= 0.05,
      satisfy: (event) => (event.fuel_level = 0.04),
    },
    {
      pattern: { status: ['alarm'] },
      byHand: (event) => event.status === 'alarm',
      satisfy: (event) => (event.status = 'alarm'),
    },
    {
      pattern: { driver: [{ prefix: 'test-' }] },
      byHand: (event) => event.driver.startsWith('test-'),
      satisfy: (event) => (event.driver = 'test-1'),
    },
    {
      pattern: { firmware: [{ suffix: '-dev' }] },
      byHand: (event) => event.firmware.endsWith('-dev'),
      satisfy: (event) => (event.firmware = '5.0-dev'),
    },
    {
      pattern: { speed_kmh: [{ numeric: ['>', 180] }] },
      byHand: (event) => event.speed_kmh > 180,
      satisfy: (event) => (event.speed_kmh = 210),
    },
    {
      pattern: { vehicle_id: ['truck-1'] },
      byHand: (event) => event.vehicle_id === 'truck-1',
      satisfy: (event) => (event.vehicle_id = 'truck-1'),
    },
  ],
  Array.from({ length: 100 }, (_, n) => ({
    pattern: { driver: [`driver-${n}`], speed_kmh: [{ numeric: ['>=', n] }] },
    byHand: (event) => event.driver === `driver-${n}` && event.speed_kmh >= n,
    satisfy: (event) => {
      event.driver = `driver-${n}`;
      event.speed_kmh = n + 1;
    },
  })),
);

/** As a user writes it: split, check, combine, compare. */
function inNetwork(text: string, network: number, bits: number): boolean {
  const groups = text.split('.');
  if (groups.length !== 4) return false;
  let address = 0;
  for (const group of groups) {
    const value = Number(group);
    if (!(value >= 0 && value <= 255)) return false;
    address = address * 256 + value;
  }
  return address >>> (32 - bits) === network >>> (32 - bits);
}

// ---------------------------------------------------------------------------------------------- 1 KB: request log

const agent = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36';

const requestLog = (random: Random) => ({
  time: new Date(1_700_000_000_000 + below(random, 1e9)).toISOString(),
  level: 'info',
  service: 'checkout-api',
  host: {
    name: `ip-10-0-${below(random, 256)}-${below(random, 256)}`,
    zone: 'eu-central-1b',
    container: hex(random, 12),
  },
  trace: { id: hex(random, 32), span: hex(random, 16), sampled: false },
  client: { ip: `198.51.100.${below(random, 256)}`, port: 1024 + below(random, 60_000), agent },
  request: {
    id: hex(random, 32),
    method: pick(random, ['GET', 'HEAD']),
    path: `/v1/items/${below(random, 1e6)}`,
    query: `page=${below(random, 50)}&sort=price`,
    headers: {
      accept: 'application/json',
      'accept-encoding': 'gzip, deflate, br',
      referer: 'https://shop.example.com/',
    },
  },
  response: {
    status: pick(random, [200, 204, 301, 304, 404]),
    bytes: below(random, 100_000),
    duration_ms: decimal(random, 1, 400, 2),
    cache: pick(random, ['HIT', 'MISS']),
  },
  user: { id: `u-${1000 + below(random, 100_000)}`, plan: 'free', roles: ['customer', 'beta'] },
  tags: ['http', 'public', 'v1'],
  build: `2026.${below(random, 12)}.${below(random, 30)}`,
});
type RequestLog = ReturnType<typeof requestLog>;

const requestLogCases = casesOf<RequestLog>(
  requestLog,
  {
    numeric: {
      pattern: { response: { status: [{ numeric: ['>=', 500] }] } },
      byHand: (event) => event.response.status >= 500,
      satisfy: (event, random) => (event.response.status = 500 + below(random, 5)),
    },
    prefix: {
      pattern: { request: { path: [{ prefix: '/v2/' }] } },
      byHand: (event) => event.request.path.startsWith('/v2/'),
      satisfy: (event, random) => (event.request.path = `/v2/orders/${below(random, 1e6)}`),
    },
    'anything-but': {
      pattern: { request: { method: [{ 'anything-but': ['GET', 'HEAD', 'OPTIONS'] }] } },
      byHand: ({ request: { method } }) => method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS',
      satisfy: (event, random) => (event.request.method = pick(random, ['POST', 'PUT', 'DELETE'])),
    },
    wildcard: {
      pattern: { build: [{ wildcard: '2026.*-hotfix.*' }] },
      byHand: (event) => /^2026\..*-hotfix\..*$/s.test(event.build),
      satisfy: (event, random) => (event.build = `2026.${below(random, 12)}-hotfix.${below(random, 9)}`),
    },
    cidr: {
      pattern: { client: { ip: [{ cidr: '203.0.113.0/24' }] } },
      byHand: (event) => inNetwork(event.client.ip, 0xcb007100, 24),
      satisfy: (event, random) => (event.client.ip = `203.0.113.${below(random, 256)}`),
    },
  },
  [
    {
      pattern: { level: ['error', 'fatal'] },
      byHand: (event) => event.level === 'error' || event.level === 'fatal',
      satisfy: (event, random) => (event.level = pick(random, ['error', 'fatal'])),
    },
    {
      pattern: { response: { status: [{ numeric: ['>=', 500] }] } },
      byHand: (event) => event.response.status >= 500,
      satisfy: (event) => (event.response.status = 503),
    },
    {
      pattern: { response: { duration_ms: [{ numeric: ['>', 1000] }] } },
      byHand: (event) => event.response.duration_ms > 1000,
      satisfy: (event, random) => (event.response.duration_ms = decimal(random, 1001, 9000, 2)),
    },
    {
      pattern: { request: { path: [{ suffix: '/admin' }] } },
      byHand: (event) => event.request.path.endsWith('/admin'),
      satisfy: (event) => (event.request.path = '/v1/admin'),
    },
    {
      pattern: { user: { plan: ['enterprise'] } },
      byHand: (event) => event.user.plan === 'enterprise',
      satisfy: (event) => (event.user.plan = 'enterprise'),
    },
    {
      pattern: { user: { roles: ['operator'] } },
      byHand: (event) => event.user.roles.includes('operator'),
      satisfy: (event) => (event.user.roles = ['customer', 'operator']),
    },
    {
      pattern: { trace: { sampled: [true] } },
      byHand: (event) => event.trace.sampled === true,
      satisfy: (event) => (event.trace.sampled = true),
    },
    {
      pattern: { client: { agent: [{ prefix: 'curl/' }] } },
      byHand: (event) => event.client.agent.startsWith('curl/'),
      satisfy: (event) => (event.client.agent = 'curl/8.5.0'),
    },
  ],
  Array.from({ length: 100 }, (_, n) => ({
    pattern: { user: { id: [`u-${n}`] }, response: { status: [{ numeric: ['>=', 400 + n] }] } },
    byHand: (event) => event.user.id === `u-${n}` && event.response.status >= 400 + n,
    satisfy: (event) => {
      event.user.id = `u-${n}`;
      event.response.status = 400 + n;
    },
  })),
);

// ---------------------------------------------------------------------------------------------- 4 KB: audit trail

const session = (random: Random) => ({
  sessionIssuer: {
    type: 'Role',
    principalId: `AROA${hex(random, 17).toUpperCase()}`,
    arn: 'arn:aws:iam::123456789012:role/service-role/inventory-sync',
    accountId: '123456789012',
    userName: 'inventory-sync',
  },
  attributes: {
    creationDate: new Date(1_700_000_000_000 + below(random, 1e9)).toISOString(),
    mfaAuthenticated: 'false',
  },
});

const auditTrail = (random: Random) => ({
  version: '0',
  id: hex(random, 36),
  'detail-type': 'AWS API Call via CloudTrail',
  source: 'aws.ec2',
  account: '123456789012',
  time: new Date(1_700_000_000_000 + below(random, 1e9)).toISOString(),
  region: 'eu-central-1',
  resources: Array.from({ length: 4 }, () => `arn:aws:ec2:eu-central-1:123456789012:instance/i-${hex(random, 17)}`),
  detail: {
    eventVersion: '1.09',
    userIdentity: {
      type: 'AssumedRole',
      principalId: `AROA${hex(random, 17).toUpperCase()}:i-${hex(random, 17)}`,
      arn: `arn:aws:sts::123456789012:assumed-role/inventory-sync/i-${hex(random, 17)}`,
      accountId: '123456789012',
      accessKeyId: `ASIA${hex(random, 16).toUpperCase()}`,
      sessionContext: session(random),
    },
    eventTime: new Date(1_700_000_000_000 + below(random, 1e9)).toISOString(),
    eventSource: 'ec2.amazonaws.com',
    eventName: pick(random, ['DescribeInstances', 'DescribeVolumes', 'DescribeTags']),
    awsRegion: 'eu-central-1',
    sourceIPAddress: `198.51.100.${below(random, 256)}`,
    userAgent: `aws-sdk-java/2.25.11 Linux/5.10.213 OpenJDK_64-Bit_Server_VM/17.0.10+7-LTS cfg/retry-mode/legacy ${hex(random, 24)}`,
    requestParameters: {
      maxResults: below(random, 1000),
      filterSet: {
        items: Array.from({ length: 5 }, (_, n) => ({
          name: `tag:key-${n}`,
          valueSet: { items: [{ value: hex(random, 20) }, { value: hex(random, 20) }] },
        })),
      },
    },
    responseElements: {
      requestId: hex(random, 36),
      instancesSet: {
        items: Array.from({ length: 6 }, () => ({
          instanceId: `i-${hex(random, 17)}`,
          currentState: { code: 16, name: 'running' },
          previousState: { code: 0, name: 'pending' },
          privateIpAddress: `10.0.${below(random, 256)}.${below(random, 256)}`,
          note: 'quoted \\"text\\" with an escape, and Größe beyond ASCII',
        })),
      },
    },
    additionalEventData: {
      bytesTransferredIn: below(random, 1e6),
      bytesTransferredOut: below(random, 1e6),
      vpc: `vpc-${hex(random, 17)}`,
    },
    requestID: hex(random, 36),
    eventID: hex(random, 36),
    readOnly: true,
    eventType: 'AwsApiCall',
    managementEvent: true,
    recipientAccountId: '123456789012',
    eventCategory: 'Management',
    tlsDetails: {
      tlsVersion: 'TLSv1.3',
      cipherSuite: 'TLS_AES_128_GCM_SHA256',
      clientProvidedHostHeader: 'ec2.eu-central-1.amazonaws.com',
    },
  },
});
type AuditTrail = ReturnType<typeof auditTrail>;

const auditTrailCases = casesOf<AuditTrail>(
  auditTrail,
  {
    numeric: {
      pattern: { detail: { requestParameters: { maxResults: [{ numeric: ['>=', 1000] }] } } },
      byHand: (event) => event.detail.requestParameters.maxResults >= 1000,
      satisfy: (event, random) => (event.detail.requestParameters.maxResults = 1000 + below(random, 1000)),
    },
    prefix: {
      pattern: { detail: { eventName: [{ prefix: 'Terminate' }] } },
      byHand: (event) => event.detail.eventName.startsWith('Terminate'),
      satisfy: (event) => (event.detail.eventName = 'TerminateInstances'),
    },
    'anything-but': {
      pattern: { detail: { userIdentity: { type: [{ 'anything-but': ['AssumedRole', 'AWSService'] }] } } },
      byHand: ({ detail: { userIdentity } }) =>
        userIdentity.type !== 'AssumedRole' && userIdentity.type !== 'AWSService',
      satisfy: (event, random) => (event.detail.userIdentity.type = pick(random, ['Root', 'IAMUser'])),
    },
    wildcard: {
      pattern: { detail: { additionalEventData: { vpc: [{ wildcard: 'vpc-*-peer-*' }] } } },
      byHand: (event) => /^vpc-.*-peer-.*$/s.test(event.detail.additionalEventData.vpc),
      satisfy: (event, random) =>
        (event.detail.additionalEventData.vpc = `vpc-${hex(random, 8)}-peer-${hex(random, 8)}`),
    },
    cidr: {
      pattern: { detail: { sourceIPAddress: [{ cidr: '203.0.113.0/24' }] } },
      byHand: (event) => inNetwork(event.detail.sourceIPAddress, 0xcb007100, 24),
      satisfy: (event, random) => (event.detail.sourceIPAddress = `203.0.113.${below(random, 256)}`),
    },
  },
  [
    {
      pattern: { detail: { eventName: ['DeleteTrail', 'StopLogging'] } },
      byHand: ({ detail: { eventName } }) => eventName === 'DeleteTrail' || eventName === 'StopLogging',
      satisfy: (event, random) => (event.detail.eventName = pick(random, ['DeleteTrail', 'StopLogging'])),
    },
    {
      pattern: { detail: { userIdentity: { type: ['Root'] } } },
      byHand: (event) => event.detail.userIdentity.type === 'Root',
      satisfy: (event) => (event.detail.userIdentity.type = 'Root'),
    },
    {
      pattern: { detail: { readOnly: [false] } },
      byHand: (event) => event.detail.readOnly === false,
      satisfy: (event) => (event.detail.readOnly = false),
    },
    {
      pattern: { region: [{ 'anything-but': { prefix: 'eu-' } }] },
      byHand: (event) => !event.region.startsWith('eu-'),
      satisfy: (event) => (event.region = 'us-east-1'),
    },
    {
      pattern: { detail: { additionalEventData: { bytesTransferredOut: [{ numeric: ['>', 1e6] }] } } },
      byHand: (event) => event.detail.additionalEventData.bytesTransferredOut > 1e6,
      satisfy: (event, random) =>
        (event.detail.additionalEventData.bytesTransferredOut = 1_000_001 + below(random, 1e6)),
    },
    {
      pattern: { detail: { tlsDetails: { tlsVersion: ['TLSv1', 'TLSv1.1'] } } },
      byHand: ({ detail: { tlsDetails } }) => tlsDetails.tlsVersion === 'TLSv1' || tlsDetails.tlsVersion === 'TLSv1.1',
      satisfy: (event) => (event.detail.tlsDetails.tlsVersion = 'TLSv1.1'),
    },
    {
      pattern: { detail: { responseElements: { instancesSet: { items: { currentState: { name: ['stopped'] } } } } } },
      byHand: ({ detail }) =>
        detail.responseElements.instancesSet.items.some((item) => item.currentState.name === 'stopped'),
      satisfy: (event, random) =>
        (pick(random, event.detail.responseElements.instancesSet.items).currentState.name = 'stopped'),
    },
    {
      pattern: { source: [{ 'equals-ignore-case': 'AWS.IAM' }] },
      byHand: (event) => event.source.toLowerCase() === 'aws.iam',
      satisfy: (event) => (event.source = 'aws.iam'),
    },
  ],
  Array.from({ length: 100 }, (_, n) => ({
    pattern: { detail: { eventName: [`Action${n}`], requestParameters: { maxResults: [{ numeric: ['>=', n] }] } } },
    byHand: ({ detail }) => detail.eventName === `Action${n}` && detail.requestParameters.maxResults >= n,
    satisfy: (event) => {
      event.detail.eventName = `Action${n}`;
      event.detail.requestParameters.maxResults = n;
    },
  })),
);

export const workloads: readonly Workload[] = [
  { name: '0.3 KB telemetry', cases: telemetryCases },
  { name: '1 KB request log', cases: requestLogCases },
  { name: '4 KB audit trail', cases: auditTrailCases },
];
