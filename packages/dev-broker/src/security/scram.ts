import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

export type ScramMechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-512';

/** Mechanisms as AlterUserScramCredentials numbers them. */
export const scramMechanisms: readonly (ScramMechanism | undefined)[] = [undefined, 'SCRAM-SHA-256', 'SCRAM-SHA-512'];
export const MINIMUM_ITERATIONS = 4096;
export const MAXIMUM_ITERATIONS = 16_384;

/** What a server keeps of a password (RFC 5802, section 3). */
export interface ScramCredential {
  readonly salt: Buffer;
  readonly iterations: number;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

const digestOf = (mechanism: ScramMechanism): string => (mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512');

export function credentialOf(
  mechanism: ScramMechanism,
  salted: Buffer,
  salt: Buffer,
  iterations: number,
): ScramCredential {
  const digest = digestOf(mechanism);
  const clientKey = createHmac(digest, salted).update('Client Key').digest();
  return {
    salt,
    iterations,
    storedKey: createHash(digest).update(clientKey).digest(),
    serverKey: createHmac(digest, salted).update('Server Key').digest(),
  };
}

export function credentialFor(mechanism: ScramMechanism, password: string): ScramCredential {
  const digest = digestOf(mechanism);
  const salt = randomBytes(20);
  const length = mechanism === 'SCRAM-SHA-256' ? 32 : 64;
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, MINIMUM_ITERATIONS, length, digest);
  return credentialOf(mechanism, salted, salt, MINIMUM_ITERATIONS);
}

/** One SCRAM exchange: two messages from the client, two from the server. Throws an Error with the reason of a refusal. */
export class ScramExchange {
  readonly #mechanism: ScramMechanism;
  readonly #find: (user: string) => ScramCredential | undefined;
  #credential: ScramCredential | undefined;
  #clientFirst = '';
  #serverFirst = '';
  #gs2Header = '';
  user = '';

  constructor(mechanism: ScramMechanism, find: (user: string) => ScramCredential | undefined) {
    this.#mechanism = mechanism;
    this.#find = find;
  }

  /** @returns the server's message, and whether the client is authenticated now */
  next(message: Buffer): { answer: Buffer; isDone: boolean } {
    return this.#credential ? this.#final(message.toString()) : this.#first(message.toString());
  }

  #first(message: string): { answer: Buffer; isDone: boolean } {
    const match = /^([ny],(?:a=([^,]*))?,)(n=([^,]+),r=([^,]+)(?:,.*)?)$/s.exec(message);
    if (!match) throw new Error('Invalid SCRAM client first message');
    const [, header, authorization, bare, name, nonce] = match;
    this.user = name!.replaceAll('=2C', ',').replaceAll('=3D', '=');
    if (authorization && authorization !== name) throw new Error('Authorization id differs from the user name');
    this.#credential = this.#find(this.user);
    if (!this.#credential) throw new Error('Authentication failed during authentication due to invalid credentials');
    this.#gs2Header = header!;
    this.#clientFirst = bare!;
    const { salt, iterations } = this.#credential;
    this.#serverFirst = `r=${nonce}${randomBytes(18).toString('base64')},s=${salt.toString('base64')},i=${iterations}`;
    return { answer: Buffer.from(this.#serverFirst), isDone: false };
  }

  #final(message: string): { answer: Buffer; isDone: boolean } {
    const match = /^(c=([^,]+),r=([^,]+)),p=([^,]+)$/s.exec(message);
    if (!match) throw new Error('Invalid SCRAM client final message');
    const [, withoutProof, binding, nonce, proof] = match;
    if (Buffer.from(binding!, 'base64').toString() !== this.#gs2Header) throw new Error('Channel binding differs');
    if (!this.#serverFirst.startsWith(`r=${nonce},`)) throw new Error('The nonce differs');
    const digest = digestOf(this.#mechanism);
    const { storedKey, serverKey } = this.#credential!;
    const signed = `${this.#clientFirst},${this.#serverFirst},${withoutProof}`;
    const signature = createHmac(digest, storedKey).update(signed).digest();
    const given = Buffer.from(proof!, 'base64');
    if (given.length !== signature.length) throw new Error('Invalid client credentials');
    const clientKey = Buffer.from(signature.map((byte, index) => byte ^ given[index]!));
    const isRight = timingSafeEqual(createHash(digest).update(clientKey).digest(), storedKey);
    if (!isRight) throw new Error('Authentication failed during authentication due to invalid credentials');
    const answer = createHmac(digest, serverKey).update(signed).digest('base64');
    return { answer: Buffer.from(`v=${answer}`), isDone: true };
  }
}
