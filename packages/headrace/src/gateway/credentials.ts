import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { HeadraceError } from '../errors.ts';

/** Who may call: finds the secret of an access key. */
export interface Credentials {
  /** Undefined when the key is unknown, or the session token is not its own. */
  find(
    accessKeyId: string,
    sessionToken: string | undefined,
  ): { readonly secretAccessKey: string; readonly principal: string } | undefined;
}

/**
 * Reads keys from a file in the form of `~/.aws/credentials`; a section is a caller. Throws HeadraceError
 * `CONFIGURATION` naming what is missing, never the secrets.
 */
export function readCredentials(file: string): Credentials {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new HeadraceError('CONFIGURATION', `the credentials file ${file} cannot be read`, { cause });
  }
  const keys = new Map<string, { secretAccessKey: string; principal: string }>();
  for (const [section, values] of readSections(text)) {
    const accessKeyId = values.get('aws_access_key_id');
    const secretAccessKey = values.get('aws_secret_access_key');
    if (!accessKeyId || !secretAccessKey) {
      const missing = accessKeyId ? 'aws_secret_access_key' : 'aws_access_key_id';
      throw new HeadraceError('CONFIGURATION', `${file}: section [${section}] has no ${missing}`);
    }
    keys.set(accessKeyId, { secretAccessKey, principal: accessKeyId });
  }
  if (keys.size === 0) throw new HeadraceError('CONFIGURATION', `${file} holds no access key`);
  return { find: (accessKeyId) => keys.get(accessKeyId) };
}

function readSections(text: string): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  let current: Map<string, string> | undefined;
  for (const line of text.split(/\r?\n/)) {
    const section = /^\s*\[(.+)\]\s*$/.exec(line)?.[1]?.trim();
    if (section !== undefined) {
      current = new Map();
      sections.set(section, current);
      continue;
    }
    const [, name, value] = /^\s*([^#;=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (name !== undefined) current?.set(name, value ?? '');
  }
  return sections;
}

export interface TemporaryKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/**
 * Keys for execution environments, good as long as this process lives, and for sessions, good until they expire. Nothing
 * is kept of them: secret and token are derived from the key's id, whose it is and its end, which the token says.
 */
export class TemporaryKeys implements Credentials {
  readonly #master = randomBytes(32);

  readonly #now: () => number;

  /** `now`: milliseconds since the epoch. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** `expiresAt` in milliseconds since the epoch; absent: with this process. */
  issue(functionName: string, expiresAt?: number): TemporaryKey {
    const accessKeyId = `ASIA${randomBytes(10).toString('hex').toUpperCase().slice(0, 16)}`;
    const claim = `${Buffer.from(functionName).toString('base64url')}.${expiresAt ?? ''}`;
    return {
      accessKeyId,
      secretAccessKey: this.#derive('secret', accessKeyId, claim).toString('base64').slice(0, 40),
      sessionToken: `${claim}.${this.#derive('token', accessKeyId, claim).toString('base64url')}`,
    };
  }

  find(accessKeyId: string, sessionToken: string | undefined): ReturnType<Credentials['find']> {
    const [name, expiresAt, proof] = (sessionToken ?? '').split('.') as [string, string?, string?];
    if (proof === undefined) return undefined;
    const claim = `${name}.${expiresAt}`;
    const wanted = this.#derive('token', accessKeyId, claim);
    const given = Buffer.from(proof, 'base64url');
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined;
    if (expiresAt !== '' && Number(expiresAt) <= this.#now()) return undefined;
    return {
      secretAccessKey: this.#derive('secret', accessKeyId, claim).toString('base64').slice(0, 40),
      principal: `function:${Buffer.from(name, 'base64url').toString()}`,
    };
  }

  #derive(purpose: string, accessKeyId: string, claim: string): Buffer {
    return createHmac('sha256', this.#master).update(`${purpose}\n${accessKeyId}\n${claim}`).digest();
  }
}

/** The first that knows the key. */
export function anyOf(...sources: readonly Credentials[]): Credentials {
  return {
    find(accessKeyId, sessionToken) {
      for (const source of sources) {
        const found = source.find(accessKeyId, sessionToken);
        if (found !== undefined) return found;
      }
      return undefined;
    },
  };
}
