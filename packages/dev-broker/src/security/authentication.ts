import { timingSafeEqual } from 'node:crypto';
import type { Registered, Registry, RequestContext } from '../apis/registry.ts';
import type { Clock } from '../clock.ts';
import { ErrorCode } from '../protocol/errors.ts';
import { alterUserScramCredentials } from '../protocol/messages/alter-user-scram-credentials.ts';
import { describeUserScramCredentials } from '../protocol/messages/describe-user-scram-credentials.ts';
import { type SaslAuthenticateResponse, saslAuthenticate } from '../protocol/messages/sasl-authenticate.ts';
import { saslHandshake } from '../protocol/messages/sasl-handshake.ts';
import { ProtocolError } from '../protocol/reader.ts';
import type { Connection } from '../server/connection.ts';
import { type CheckToken, tokenOf, unsecuredTokens } from './oauth-bearer.ts';
import {
  credentialFor,
  credentialOf,
  MAXIMUM_ITERATIONS,
  MINIMUM_ITERATIONS,
  type ScramCredential,
  ScramExchange,
  type ScramMechanism,
  scramMechanisms,
} from './scram.ts';

export type SaslMechanism = 'PLAIN' | ScramMechanism | 'OAUTHBEARER';

export interface SaslOptions {
  /** For PLAIN and SCRAM. */
  users?: { name: string; password: string }[];
  /** Default: PLAIN and both SCRAMs, and OAUTHBEARER where `checkToken` is given. */
  mechanisms?: SaslMechanism[];
  /** Checks OAUTHBEARER tokens; `'unsecured'` accepts unsigned ones. */
  checkToken?: CheckToken | 'unsecured';
}

/** Where a connection stands. */
interface Session {
  mechanism: SaslMechanism | undefined;
  exchange: ScramExchange | undefined;
  isAuthenticated: boolean;
  /** Milliseconds; when the client must have authenticated again. Infinity without a limit. */
  expiresAt: number;
  /** After SaslHandshake version 0 tokens come as bare frames. */
  isBare: boolean;
}

const API_VERSIONS = 18;
/** As in Apache Kafka (sasl.server.max.receive.size): who has not authenticated may not send more. */
const UNAUTHENTICATED_FRAME_BYTES = 524_288;
const ALL: readonly SaslMechanism[] = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'];

/** Lets nobody in who has not said who they are, and keeps the users. */
export class Authentication {
  readonly #clock: Clock;
  readonly #maximumSessionMs: number;
  readonly #mechanisms: readonly SaslMechanism[];
  readonly #passwords = new Map<string, string>();
  readonly #scram = new Map<ScramMechanism, Map<string, ScramCredential>>([
    ['SCRAM-SHA-256', new Map()],
    ['SCRAM-SHA-512', new Map()],
  ]);
  readonly #checkToken: CheckToken | undefined;
  readonly #isRequired: boolean;
  /** Told of credentials that a client sets or (undefined) deletes. */
  onChange: ((mechanism: ScramMechanism, user: string, credential: ScramCredential | undefined) => void) | undefined;

  /** @param maximumSessionMs after which clients must authenticate again (connections.max.reauth.ms); 0 for never */
  constructor(clock: Clock, maximumSessionMs: number, options: SaslOptions | undefined) {
    this.#clock = clock;
    this.#maximumSessionMs = maximumSessionMs;
    this.#isRequired = options !== undefined;
    const { users = [], checkToken } = options ?? {};
    this.#checkToken = checkToken === 'unsecured' ? unsecuredTokens(() => clock.now()) : checkToken;
    this.#mechanisms = options?.mechanisms ?? (this.#checkToken ? [...ALL, 'OAUTHBEARER'] : ALL);
    for (const { name, password } of users) {
      this.#passwords.set(name, password);
      for (const [mechanism, credentials] of this.#scram) {
        if (this.#mechanisms.includes(mechanism)) credentials.set(name, credentialFor(mechanism, password));
      }
    }
  }

  #set(mechanism: ScramMechanism, user: string, credential: ScramCredential | undefined): void {
    this.onChange?.(mechanism, user, credential);
    this.restore(mechanism, user, credential);
  }

  /** What a client has set goes over what the options say. */
  restore(mechanism: ScramMechanism, user: string, credential: ScramCredential | undefined): void {
    const credentials = this.#scram.get(mechanism)!;
    if (credential) credentials.set(user, credential);
    else credentials.delete(user);
  }

  /** Called for each new connection. */
  accept(connection: Connection): void {
    if (!this.#isRequired) return;
    const session: Session = {
      mechanism: undefined,
      exchange: undefined,
      isAuthenticated: false,
      expiresAt: Number.POSITIVE_INFINITY,
      isBare: false,
    };
    connection.authentication = session;
    connection.frames.maximumBytes = UNAUTHENTICATED_FRAME_BYTES;
  }

  /** @throws ProtocolError for a request of somebody who may not make it yet, or no longer */
  check({ api }: Registered, { connection }: RequestContext): void {
    const session = connection.authentication as Session | undefined;
    if (!session || api.key === saslHandshake.key || api.key === saslAuthenticate.key) return;
    if (!session.isAuthenticated) {
      if (api.key === API_VERSIONS) return;
      throw new ProtocolError(`${api.name} before authentication`);
    }
    if (this.#clock.now() >= session.expiresAt)
      throw new ProtocolError('the session has expired without authentication');
  }

  /** The answer to a bare token frame (SaslHandshake version 0), undefined when requests are framed as usual. */
  bareToken(frame: Buffer, connection: Connection): Promise<Buffer | 'close'> | undefined {
    const session = connection.authentication as Session | undefined;
    if (!session?.isBare || session.isAuthenticated) return undefined;
    return this.#step(frame, connection, session).then((answer) => {
      if (answer.errorCode !== 0) return 'close';
      const length = Buffer.alloc(4);
      length.writeInt32BE(answer.authBytes.length);
      return Buffer.concat([length, answer.authBytes]);
    });
  }

  register(registry: Registry): void {
    registry.on(saslHandshake, ({ mechanism }, { connection, version }) => {
      const session = connection.authentication as Session | undefined;
      const mechanisms = [...this.#mechanisms];
      if (!session) return { errorCode: ErrorCode.ILLEGAL_SASL_STATE, mechanisms: [] };
      if (!this.#mechanisms.includes(mechanism as SaslMechanism)) {
        return { errorCode: ErrorCode.UNSUPPORTED_SASL_MECHANISM, mechanisms };
      }
      session.mechanism = mechanism as SaslMechanism;
      session.exchange = undefined;
      session.isBare = version === 0;
      return { errorCode: 0, mechanisms };
    });

    registry.on(saslAuthenticate, async ({ authBytes }, { connection }) => {
      const session = connection.authentication as Session | undefined;
      if (!session?.mechanism) {
        const errorMessage = 'SaslAuthenticate request received without a handshake';
        return { errorCode: ErrorCode.ILLEGAL_SASL_STATE, errorMessage, authBytes: Buffer.alloc(0) };
      }
      return this.#step(authBytes, connection, session);
    });

    registry.on(describeUserScramCredentials, ({ users }) => {
      const known = [...new Set([...this.#scram.values()].flatMap((credentials) => [...credentials.keys()]))];
      const names = users && users.length > 0 ? users.map(({ name }) => name) : known;
      const results = names.map((user) => {
        const credentialInfos = scramMechanisms.flatMap((mechanism, number) => {
          const credential = mechanism && this.#scram.get(mechanism)!.get(user);
          return credential ? [{ mechanism: number, iterations: credential.iterations }] : [];
        });
        const errorCode = credentialInfos.length > 0 ? 0 : ErrorCode.RESOURCE_NOT_FOUND;
        const errorMessage =
          errorCode === 0 ? null : `Attempt to describe a user credential that does not exist: ${user}`;
        return { user, errorCode, errorMessage, credentialInfos };
      });
      return { errorCode: 0, errorMessage: null, results };
    });

    registry.on(alterUserScramCredentials, ({ deletions, upsertions }) => {
      const results = new Map<string, { user: string; errorCode: number; errorMessage: string | null }>();
      const note = (user: string, errorCode: number, errorMessage: string | null = null): void => {
        if (!results.get(user)?.errorCode) results.set(user, { user, errorCode, errorMessage });
      };
      for (const { name, mechanism, iterations, salt, saltedPassword } of upsertions) {
        const known = scramMechanisms[mechanism];
        if (!known) note(name, ErrorCode.UNSUPPORTED_SASL_MECHANISM, 'Unknown SCRAM mechanism');
        else if (name === '') note(name, ErrorCode.UNACCEPTABLE_CREDENTIAL, 'Username must not be empty');
        else if (iterations < MINIMUM_ITERATIONS) note(name, ErrorCode.UNACCEPTABLE_CREDENTIAL, 'Too few iterations');
        else if (iterations > MAXIMUM_ITERATIONS) note(name, ErrorCode.UNACCEPTABLE_CREDENTIAL, 'Too many iterations');
        else {
          const copies = [Buffer.from(saltedPassword), Buffer.from(salt)] as const;
          this.#set(known, name, credentialOf(known, ...copies, iterations));
          note(name, 0);
        }
      }
      for (const { name, mechanism } of deletions) {
        const known = scramMechanisms[mechanism];
        if (known && this.#scram.get(known)!.has(name)) {
          this.#set(known, name, undefined);
          note(name, 0);
        } else note(name, ErrorCode.RESOURCE_NOT_FOUND, 'Attempt to delete a user credential that does not exist');
      }
      return { results: [...results.values()] };
    });
  }

  async #step(message: Buffer, connection: Connection, session: Session): Promise<SaslAuthenticateResponse> {
    try {
      const { answer, user, expiresAt } = await this.#exchange(message, session);
      if (user === undefined) return { errorCode: 0, errorMessage: null, authBytes: answer };
      const principal = `User:${user}`;
      if (session.isAuthenticated && principal !== connection.principal) {
        throw new Error('Cannot change principals during re-authentication');
      }
      const now = this.#clock.now();
      const limit = this.#maximumSessionMs > 0 ? now + this.#maximumSessionMs : Number.POSITIVE_INFINITY;
      session.expiresAt = Math.min(limit, expiresAt ?? Number.POSITIVE_INFINITY);
      session.isAuthenticated = true;
      session.mechanism = undefined;
      connection.principal = principal;
      connection.frames.raise();
      const sessionLifetimeMs = Number.isFinite(session.expiresAt) ? session.expiresAt - now : 0;
      return { errorCode: 0, errorMessage: null, authBytes: answer, sessionLifetimeMs };
    } catch (error) {
      session.isAuthenticated = false;
      session.mechanism = undefined;
      const errorMessage = error instanceof Error ? error.message : String(error);
      return { errorCode: ErrorCode.SASL_AUTHENTICATION_FAILED, errorMessage, authBytes: Buffer.alloc(0) };
    }
  }

  /** One message of an exchange; with `user` it is over. */
  async #exchange(message: Buffer, session: Session): Promise<{ answer: Buffer; user?: string; expiresAt?: number }> {
    const mechanism = session.mechanism!;
    if (mechanism === 'PLAIN') return { answer: Buffer.alloc(0), user: this.#plain(message) };
    if (mechanism === 'OAUTHBEARER') {
      if (!this.#checkToken) throw new Error('no tokens are accepted here');
      const { name, expiresAt } = await this.#checkToken(tokenOf(message));
      return { answer: Buffer.alloc(0), user: name, ...(expiresAt === undefined ? {} : { expiresAt }) };
    }
    session.exchange ??= new ScramExchange(mechanism, (user) => this.#scram.get(mechanism)!.get(user));
    const { answer, isDone } = session.exchange.next(message);
    return isDone ? { answer, user: session.exchange.user } : { answer };
  }

  #plain(message: Buffer): string {
    const [authorization, user, password, ...more] = message.toString().split('\0');
    if (!user || password === undefined || more.length > 0) throw new Error('Invalid SASL/PLAIN response');
    const right = Buffer.from(this.#passwords.get(user) ?? '');
    const given = Buffer.from(password);
    const isRight = this.#passwords.has(user) && right.length === given.length && timingSafeEqual(right, given);
    if (!isRight) throw new Error('Authentication failed: Invalid username or password');
    if (authorization && authorization !== user) throw new Error('Authorization id differs from the user name');
    return user;
  }
}
