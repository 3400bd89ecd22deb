/** Requests that open a connection: versions and SASL. */
import type { KafkaRequest } from './wire.ts';

export interface ApiVersions {
  readonly error: number;
  /** Highest and lowest version by request key. */
  readonly versions: ReadonlyMap<number, { readonly min: number; readonly max: number }>;
}

/** Version 3, or 0 for brokers that answer 3 with error 35. The answer's header never has tagged fields. */
export function apiVersions(version: 0 | 3, clientVersion: string): KafkaRequest<ApiVersions> {
  return {
    name: 'ApiVersions',
    key: 18,
    version,
    flexible: version === 3,
    write(writer) {
      if (version === 3) writer.string('headrace').string(clientVersion).tags();
    },
    read(reader) {
      const error = reader.int16();
      const versions = new Map<number, { min: number; max: number }>();
      // A broker that does not know version 3 answers in the format of version 0 with this error.
      if (error === 35) return { error, versions };
      reader.array(() => {
        versions.set(reader.int16(), { min: reader.int16(), max: reader.int16() });
        reader.tags();
      });
      return { error, versions };
    },
  };
}

export function saslHandshake(mechanism: string): KafkaRequest<{ error: number; mechanisms: string[] }> {
  return {
    name: 'SaslHandshake',
    key: 17,
    version: 1,
    flexible: false,
    write: (writer) => void writer.string(mechanism),
    read: (reader) => ({ error: reader.int16(), mechanisms: reader.array(() => reader.string()) }),
  };
}

export interface SaslAnswer {
  readonly error: number;
  readonly message: string | null;
  readonly bytes: Buffer;
  /** 0: the session does not end. */
  readonly sessionLifetimeMilliseconds: number;
}

export function saslAuthenticate(bytes: Buffer): KafkaRequest<SaslAnswer> {
  return {
    name: 'SaslAuthenticate',
    key: 36,
    version: 1,
    flexible: false,
    write: (writer) => void writer.byteArray(bytes),
    read: (reader) => ({
      error: reader.int16(),
      message: reader.nullableString(),
      bytes: Buffer.from(reader.byteArray()),
      sessionLifetimeMilliseconds: reader.int64(),
    }),
  };
}
