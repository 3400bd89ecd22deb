import type { Producer } from '@platformatic/kafka';
import { HeadraceError } from '../errors.ts';
import type { ClusterConfiguration } from '../kafka/contract.ts';
import type { TopicMessage } from './document.ts';

type BytesProducer = Producer<Buffer, Buffer, Buffer, Buffer>;

/** Writes to topics of one cluster; a message counts as written when all in-sync replicas have it (acks -1). */
export class KafkaWriter {
  readonly #configuration: ClusterConfiguration;
  #producer: BytesProducer | undefined;

  constructor(configuration: ClusterConfiguration) {
    this.#configuration = configuration;
  }

  /** Rejects with KAFKA_* when not every message is written; some may be then, and are written again the next time. */
  async write(topic: string, messages: readonly TopicMessage[]): Promise<void> {
    const producer = await this.#open();
    try {
      await producer.send({
        acks: -1,
        messages: messages.map(({ key, value, headers }) => ({
          topic,
          value,
          ...(key === null ? {} : { key }),
          headers: new Map(headers),
        })),
      });
    } catch (error) {
      if (this.#producer === producer) this.#producer = undefined;
      await producer.close().catch(() => {}); // it failed already; what it holds open goes with it
      throw new HeadraceError('KAFKA_PROTOCOL', `the topic ${topic} cannot be written: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async #open(): Promise<BytesProducer> {
    this.#producer ??= await createProducer(this.#configuration);
    return this.#producer;
  }

  async close(): Promise<void> {
    await this.#producer?.close();
    this.#producer = undefined;
  }
}

async function createProducer(configuration: ClusterConfiguration): Promise<BytesProducer> {
  // Loaded when the first record has to be written: it costs half a second and 60 MB, and most engines never need it.
  const { Producer } = await import('@platformatic/kafka');
  const { bootstrapServers, tls, sasl } = configuration;
  return new Producer({
    clientId: 'headrace',
    bootstrapBrokers: [...bootstrapServers],
    retries: 2,
    requestTimeout: 10_000,
    ...(tls === undefined
      ? {}
      : {
          tls: {
            ca: tls.certificateAuthority,
            cert: tls.certificate,
            key: tls.privateKey,
            passphrase: tls.privateKeyPassword,
            rejectUnauthorized: tls.rejectUnauthorized ?? true,
          },
          tlsServerName: tls.serverName ?? true,
        }),
    ...(sasl === undefined ? {} : { sasl: saslOptions(sasl) }),
  });
}

function saslOptions(sasl: NonNullable<ClusterConfiguration['sasl']>) {
  switch (sasl.mechanism) {
    case 'OAUTHBEARER':
      return { mechanism: sasl.mechanism, token: sasl.token };
    case 'AWS_MSK_IAM':
      return {
        mechanism: 'OAUTHBEARER' as const,
        token: async () => {
          const { generateAuthToken } = await import('aws-msk-iam-sasl-signer-js');
          return (await generateAuthToken({ region: sasl.region ?? process.env['AWS_REGION'] ?? 'us-east-1' })).token;
        },
      };
    default:
      return { mechanism: sasl.mechanism, username: sasl.username, password: sasl.password };
  }
}
