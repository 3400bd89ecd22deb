/** Ports on 127.0.0.1 that the listeners of a server take. */
export interface KafkaPorts {
  plaintext: number;
  saslPlaintext: number;
  saslSsl: number;
  ssl: number;
  proxied: number;
  controller: number;
}

/** A user of the SASL listeners, known to PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 alike. */
export interface KafkaUser {
  name: string;
  password: string;
}

export interface KafkaPropertiesInput {
  nodeId: number;
  /** Port of the controller of another node; undefined: this node is the controller, and a broker too. */
  controllerPort: number | undefined;
  ports: KafkaPorts;
  /** The port that clients of the `proxied` listener are told to connect to. */
  proxyPort: number | undefined;
  dataFolder: string;
  certificateFolder: string;
  /** Whether the SASL_SSL and SSL listeners are wanted. */
  tls: boolean;
  users: KafkaUser[];
  overrides: Record<string, string | number | boolean>;
}

const saslListener = (listener: string, users: KafkaUser[]): Record<string, string> => {
  const login = 'org.apache.kafka.common.security';
  const prefix = `listener.name.${listener}`;
  const known = users.map(({ name, password }) => `user_${name}="${password}"`).join(' ');
  return {
    [`${prefix}.plain.sasl.jaas.config`]: `${login}.plain.PlainLoginModule required username="admin" password="admin" user_admin="admin" ${known};`,
    [`${prefix}.scram-sha-256.sasl.jaas.config`]: `${login}.scram.ScramLoginModule required;`,
    [`${prefix}.scram-sha-512.sasl.jaas.config`]: `${login}.scram.ScramLoginModule required;`,
    // Unsecured tokens (`alg: none`) pass the default callback: right for tests, and for nothing else.
    [`${prefix}.oauthbearer.sasl.jaas.config`]: `${login}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="admin";`,
  };
};

/** server.properties of a small node; `overrides` win. */
export function kafkaProperties(input: KafkaPropertiesInput): string {
  const { ports } = input;
  const isController = input.controllerPort === undefined;
  const at = (name: string, port: number): string => `${name}://127.0.0.1:${port}`;
  const names: [string, number][] = [
    ['PLAINTEXT', ports.plaintext],
    ['SASL_PLAINTEXT', ports.saslPlaintext],
    ...(input.tls
      ? ([
          ['SASL_SSL', ports.saslSsl],
          ['SSL', ports.ssl],
        ] as [string, number][])
      : []),
    ...(input.proxyPort === undefined ? [] : ([['PROXIED', ports.proxied]] as [string, number][])),
    ...(isController ? ([['CONTROLLER', ports.controller]] as [string, number][]) : []),
  ];
  const advertised = names.map(([name, port]) => at(name, name === 'PROXIED' ? input.proxyPort! : port));
  const properties: Record<string, string | number | boolean> = {
    'process.roles': isController ? 'broker,controller' : 'broker',
    'node.id': input.nodeId,
    'controller.quorum.bootstrap.servers': `127.0.0.1:${input.controllerPort ?? ports.controller}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: names.map(([name, port]) => at(name, port)).join(','),
    'advertised.listeners': advertised.join(','),
    'listener.security.protocol.map':
      'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': input.dataFolder,
    'num.network.threads': 2,
    'num.io.threads': 4,
    'background.threads': 2,
    'offsets.topic.num.partitions': 1,
    'offsets.topic.replication.factor': 1,
    'transaction.state.log.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'share.coordinator.state.topic.num.partitions': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1000,
    'group.consumer.min.heartbeat.interval.ms': 500,
    'group.consumer.heartbeat.interval.ms': 1000,
    'group.consumer.min.session.timeout.ms': 3000,
    'group.consumer.session.timeout.ms': 10_000,
    'group.share.min.heartbeat.interval.ms': 500,
    'group.share.heartbeat.interval.ms': 1000,
    // After a crash the controller takes the broker back only when its old session has run out (9 s by default).
    'broker.session.timeout.ms': 3000,
    'broker.heartbeat.interval.ms': 500,
    'auto.create.topics.enable': false,
    'num.partitions': 4,
    'log.segment.bytes': 104_857_600,
    'log.index.size.max.bytes': 1_048_576,
    'log.cleaner.dedupe.buffer.size': 4_194_304,
    'log.cleaner.backoff.ms': 500,
    'log.initial.task.delay.ms': 500,
    'message.max.bytes': 10_485_760,
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
    ...saslListener('sasl_plaintext', input.users),
    ...(input.tls
      ? {
          ...saslListener('sasl_ssl', input.users),
          'ssl.keystore.type': 'PEM',
          'ssl.keystore.location': `${input.certificateFolder}/server.pem`,
          'ssl.truststore.type': 'PEM',
          'ssl.truststore.location': `${input.certificateFolder}/ca.pem`,
          'ssl.client.auth': 'none',
          'ssl.endpoint.identification.algorithm': '',
        }
      : {}),
    ...input.overrides,
  };
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}
