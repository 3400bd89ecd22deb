import { HeadraceError } from '../errors.ts';
import type { ClusterConfiguration } from './contract.ts';
import { mskIamToken } from './msk-iam.ts';
import { brokerError, KafkaCode } from './protocol-errors.ts';
import { authenticateScram } from './scram.ts';
import { saslAuthenticate, saslHandshake } from './session-requests.ts';
import type { KafkaRequest } from './wire.ts';

export type SaslConfiguration = NonNullable<ClusterConfiguration['sasl']>;

/** Sends one request ahead of all others. */
export type AuthenticationSend = <T>(request: KafkaRequest<T>) => Promise<T>;

/**
 * Authenticates a connection, or authenticates it again (KIP-368).
 *
 * @returns how long the session lasts in milliseconds; 0: for ever
 * @throws HeadraceError KAFKA_AUTHENTICATION, or what `send` throws
 */
export async function authenticate(sasl: SaslConfiguration, host: string, send: AuthenticationSend): Promise<number> {
  const mechanism = sasl.mechanism === 'AWS_MSK_IAM' ? 'OAUTHBEARER' : sasl.mechanism;
  const handshake = await send(saslHandshake(mechanism));
  if (handshake.error === KafkaCode.UNSUPPORTED_SASL_MECHANISM) {
    throw new HeadraceError(
      'KAFKA_AUTHENTICATION',
      `the broker does not offer ${mechanism}; it offers ${handshake.mechanisms.join(', ') || 'none'}`,
    );
  }
  if (handshake.error === KafkaCode.ILLEGAL_SASL_STATE) {
    throw new HeadraceError('KAFKA_AUTHENTICATION', 'the listener does not take SASL: connect without credentials');
  }
  if (handshake.error !== 0) throw brokerError(handshake.error, `SASL ${mechanism}`);

  let lifetime = 0;
  const exchange = async (message: Buffer): Promise<Buffer> => {
    const answer = await send(saslAuthenticate(message));
    if (answer.error !== 0) throw brokerError(answer.error, `SASL ${mechanism}`, answer.message);
    lifetime = answer.sessionLifetimeMilliseconds;
    return answer.bytes;
  };

  switch (sasl.mechanism) {
    case 'PLAIN':
      await exchange(Buffer.from(`\0${sasl.username}\0${sasl.password}`));
      break;
    case 'SCRAM-SHA-256':
    case 'SCRAM-SHA-512':
      await authenticateScram(
        sasl.mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512',
        sasl.username,
        sasl.password,
        exchange,
      );
      break;
    case 'OAUTHBEARER':
      await authenticateBearer(await token(sasl.token), sasl.extensions ?? {}, exchange);
      break;
    case 'AWS_MSK_IAM':
      await authenticateBearer(await token(() => mskIamToken(host, sasl)), {}, exchange);
      break;
  }
  return lifetime;
}

async function token(provider: () => Promise<string>): Promise<string> {
  try {
    return await provider();
  } catch (error) {
    if (HeadraceError.is(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new HeadraceError('KAFKA_AUTHENTICATION', `no token could be had: ${reason}`, { cause: error });
  }
}

/** RFC 7628, section 3.1. A refusal comes as an answer with JSON, which one more empty message acknowledges. */
async function authenticateBearer(
  bearer: string,
  extensions: Readonly<Record<string, string>>,
  exchange: (message: Buffer) => Promise<Buffer>,
): Promise<void> {
  const pairs = Object.entries(extensions).map(([key, value]) => `${key}=${value}\x01`);
  const answer = await exchange(Buffer.from(`n,,\x01auth=Bearer ${bearer}\x01${pairs.join('')}\x01`));
  if (answer.length === 0) return;
  const refusal = new HeadraceError(
    'KAFKA_AUTHENTICATION',
    `the broker refused the token: ${answer.toString('utf8').slice(0, 300)}`,
  );
  try {
    await exchange(Buffer.from('\x01'));
  } catch (error) {
    if (HeadraceError.is(error) && error.code !== 'KAFKA_AUTHENTICATION') throw error;
  }
  throw refusal;
}
