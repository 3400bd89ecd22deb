import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { HeadraceError } from '../errors.ts';

const derive = promisify(pbkdf2);

/** Iterations beyond this are refused: a hostile broker could keep the thread pool busy for hours. */
const MAXIMUM_ITERATIONS = 10_000_000;
const MINIMUM_ITERATIONS = 4096;

/**
 * The client's side of SCRAM (RFC 5802, RFC 7677; no channel binding, as Kafka has it). `exchange` sends one message and
 * resolves with the broker's answer.
 *
 * @throws HeadraceError KAFKA_AUTHENTICATION where the broker does not prove that it knows the password
 */
export async function authenticateScram(
  algorithm: 'sha256' | 'sha512',
  username: string,
  password: string,
  exchange: (message: Buffer) => Promise<Buffer>,
  nonce: string = randomBytes(24).toString('base64'),
): Promise<void> {
  const bare = `n=${username.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`;
  const first = (await exchange(Buffer.from(`n,,${bare}`))).toString('utf8');
  const { r: combined, s: salt, i: iterationText } = attributes(first);
  const iterations = Number(iterationText);
  if (combined === undefined || !combined.startsWith(nonce) || combined === nonce || salt === undefined) {
    throw refused('the broker did not answer to our nonce');
  }
  if (!(iterations >= MINIMUM_ITERATIONS && iterations <= MAXIMUM_ITERATIONS)) {
    throw refused(
      `the broker asks for ${iterationText} iterations; ${MINIMUM_ITERATIONS} to ${MAXIMUM_ITERATIONS} are done`,
    );
  }
  const length = algorithm === 'sha256' ? 32 : 64;
  const salted = await derive(password, Buffer.from(salt, 'base64'), iterations, length, algorithm);
  const hmac = (key: Buffer, text: string): Buffer => createHmac(algorithm, key).update(text).digest();
  const clientKey = hmac(salted, 'Client Key');
  const storedKey = createHash(algorithm).update(clientKey).digest();
  const withoutProof = `c=biws,r=${combined}`;
  const message = `${bare},${first},${withoutProof}`;
  const signature = hmac(storedKey, message);
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!));

  const last = attributes(
    (await exchange(Buffer.from(`${withoutProof},p=${proof.toString('base64')}`))).toString('utf8'),
  );
  if (last['e'] !== undefined) throw refused(last['e']);
  const expected = hmac(hmac(salted, 'Server Key'), message);
  const given = Buffer.from(last['v'] ?? '', 'base64');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw refused('the broker did not prove that it knows the password');
  }
}

const refused = (reason: string): HeadraceError => new HeadraceError('KAFKA_AUTHENTICATION', `SCRAM: ${reason}`);

/** `a=1,b=2` as an object; values may hold `=`. */
function attributes(message: string): Record<string, string | undefined> {
  return Object.fromEntries(message.split(',').map((part) => [part.slice(0, 1), part.slice(2)]));
}
