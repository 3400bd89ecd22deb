import type { fromIni } from '@aws-sdk/credential-provider-ini';
import { HeadraceError } from '../errors.ts';
import type { Credentials } from './credentials.ts';

/** Keys as AWS gives them out. */
export interface ProfileKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

export interface ProfileOptions {
  readonly profile: string;
  /** Called after the keys changed: whoever was given the former ones needs new ones before they expire. */
  readonly onRenewed: () => void;
  readonly log: (line: string) => void;
  /** Reads the profile; default: as the AWS CLI does, from `~/.aws/config` and `~/.aws/credentials`. */
  readonly read?: () => Promise<ProfileKeys>;
}

/** How long before they expire keys are renewed; keys that live shorter than twice that at half their life. */
const renewalMilliseconds = 600_000;
const retryMilliseconds = 15_000;
/** `setTimeout`'s own limit. */
const longestTimer = 2 ** 31 - 1;

/**
 * A named AWS profile's keys for functions, and for the gateway that is to recognise them. Keys that expire (SSO, roles,
 * `credential_process`) are renewed in time; former ones stay valid here until they expire.
 */
export class ProfileCredentials implements Credentials {
  readonly #options: ProfileOptions;
  readonly #read: () => Promise<ProfileKeys>;
  #current: ProfileKeys;
  readonly #former = new Set<ProfileKeys>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** Throws HeadraceError `CONFIGURATION` when the profile gives no keys. */
  static async load(options: ProfileOptions): Promise<ProfileCredentials> {
    const { profile } = options;
    const read = options.read ?? (await profileReader(profile));
    try {
      return new ProfileCredentials(options, read, await read());
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new HeadraceError('CONFIGURATION', `--function-credentials ${profile} gives no keys: ${reason}`, { cause });
    }
  }

  private constructor(options: ProfileOptions, read: () => Promise<ProfileKeys>, keys: ProfileKeys) {
    this.#options = options;
    this.#read = read;
    this.#current = keys;
    this.#plan();
  }

  get keys(): ProfileKeys {
    return this.#current;
  }

  find(accessKeyId: string, sessionToken: string | undefined): ReturnType<Credentials['find']> {
    const now = Date.now();
    for (const keys of [this.#current, ...this.#former]) {
      if (keys !== this.#current && (keys.expiration?.getTime() ?? 0) <= now) this.#former.delete(keys);
      else if (keys.accessKeyId === accessKeyId && keys.sessionToken === sessionToken) {
        return { secretAccessKey: keys.secretAccessKey, principal: `profile:${this.#options.profile}` };
      }
    }
    return undefined;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #plan(): void {
    const expiration = this.#current.expiration?.getTime();
    if (expiration === undefined || this.#closed) return;
    const remaining = expiration - Date.now();
    const wait = Math.max(remaining / 2, remaining - renewalMilliseconds);
    this.#renewIn(wait > 0 ? wait : retryMilliseconds);
  }

  #renewIn(milliseconds: number): void {
    this.#timer = setTimeout(() => void this.#renew(), Math.min(milliseconds, longestTimer)).unref();
  }

  async #renew(): Promise<void> {
    const { profile, log, onRenewed } = this.#options;
    try {
      const keys = await this.#read();
      if (this.#closed) return;
      if (keys.accessKeyId !== this.#current.accessKeyId || keys.sessionToken !== this.#current.sessionToken) {
        if (this.#current.expiration !== undefined) this.#former.add(this.#current);
        this.#current = keys;
        onRenewed();
      }
      this.#plan();
    } catch (error) {
      if (this.#closed) return;
      const reason = error instanceof Error ? error.message : String(error);
      const until = this.#current.expiration?.toISOString();
      log(`the keys of profile ${profile} cannot be renewed, they expire at ${until}: ${reason}`);
      this.#renewIn(retryMilliseconds);
    }
  }
}

async function profileReader(profile: string): Promise<() => Promise<ProfileKeys>> {
  // Loaded where it is needed: most engines have no profile.
  const module: { fromIni: typeof fromIni } = await import('@aws-sdk/credential-provider-ini');
  const provider = module.fromIni({ profile, ignoreCache: true });
  return () => provider();
}
