import { createPrivateKey, X509Certificate } from 'node:crypto';
import { HeadraceError } from '../errors.ts';
import type { Address } from './connection.ts';
import type { ClusterConfiguration } from './contract.ts';

/**
 * Whether a handshake failed for what was said in it. OpenSSL has dozens of codes for what is wrong with a chain; only
 * failures of the network name a system call, and of these EPROTO stands for an alert.
 */
export const isHandshakeError = (error: NodeJS.ErrnoException): boolean =>
  !(error instanceof AggregateError) && (error.syscall === undefined || error.code === 'EPROTO');

/** Whose certificate is at fault: Lambda tells these apart (spec ESM 3.2). In `details.tlsFault`; absent: the server's. */
export type TlsFault = 'client refused' | 'client unusable';

/** What a failed handshake means. */
export function tlsError(address: Address, error: NodeJS.ErrnoException): HeadraceError {
  const code = error.code ?? '';
  const isClientRefused =
    /ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_UNKNOWN)|HANDSHAKE_FAILURE/.test(code);
  const fault: TlsFault | undefined = isClientRefused ? 'client refused' : undefined;
  const what = /SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)/.test(code)
    ? 'the certificate is signed by an authority that is not trusted here'
    : code === 'ERR_TLS_CERT_ALTNAME_INVALID'
      ? 'the certificate is made out to another name'
      : code === 'CERT_HAS_EXPIRED'
        ? 'the certificate has expired'
        : /^INVALID_(PURPOSE|CA)$/.test(code)
          ? 'a certificate of the chain is not made out for this use'
          : /WRONG_VERSION|PACKET_LENGTH/.test(code) || /before secure TLS/.test(error.message)
            ? 'the listener does not speak TLS, or closed the connection during the handshake'
            : isClientRefused
              ? 'the broker asks for a client certificate that it trusts'
              : 'the handshake failed';
  return new HeadraceError(
    'KAFKA_TLS',
    `TLS with ${address.host}:${address.port}: ${what} (${(error as { reason?: string }).reason ?? error.message})`,
    {
      cause: error,
      details: { tlsCode: code, ...(fault === undefined ? {} : { tlsFault: fault }) },
    },
  );
}

type TlsConfiguration = NonNullable<ClusterConfiguration['tls']>;

/** Node passes over an authority that it cannot read: every certificate would then be signed by nobody it knows. */
export function checkAuthority({ certificateAuthority }: TlsConfiguration): void {
  if (certificateAuthority !== undefined) void new X509Certificate(certificateAuthority);
}

/** Why key, certificate or authority cannot be used at all; OpenSSL's own words name neither. */
export function unusableTls(address: Address, tls: TlsConfiguration, error: NodeJS.ErrnoException): HeadraceError {
  const fault: TlsFault = 'client unusable';
  return new HeadraceError('KAFKA_TLS', `TLS with ${address.host}:${address.port}: ${reasonOf(tls, error)}`, {
    // Not the cause itself: it may carry the options, and with them the key.
    details: { tlsCode: error.code ?? '', tlsFault: fault },
  });
}

const isUnsupported = (error: unknown): boolean =>
  /^ERR_OSSL_(EVP_)?UNSUPPORTED$/.test((error as NodeJS.ErrnoException).code ?? '');

/**
 * Whether OpenSSL reads the key's cipher. A wrong password decrypts one key in some 400 to bytes whose padding happens to
 * be right; those are no key, and OpenSSL then reports what it reports of an unknown cipher. An unknown cipher is
 * unknown whatever the password, so a few others tell.
 */
const isCipherRead = (privateKey: string): boolean =>
  ['1', '2', '3'].some((passphrase) => {
    try {
      createPrivateKey({ key: privateKey, format: 'pem', passphrase });
      return true;
    } catch (error) {
      return !isUnsupported(error);
    }
  });

function reasonOf({ privateKey, privateKeyPassword }: TlsConfiguration, error: NodeJS.ErrnoException): string {
  if (error.code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH') return 'the private key belongs to another certificate';
  if (privateKey === undefined) return 'the certificate or the authority is no PEM text';
  const isEncrypted = privateKey.includes('ENCRYPTED');
  try {
    createPrivateKey({ key: privateKey, format: 'pem', passphrase: privateKeyPassword ?? '' });
  } catch (problem) {
    if (!isEncrypted) return 'the private key is no PEM text that can be read';
    if (isUnsupported(problem) && !isCipherRead(privateKey)) {
      return 'the private key is encrypted by a cipher that OpenSSL 3 does not read; PBE-SHA1-3DES and PBES2 are read';
    }
    return privateKeyPassword === undefined
      ? 'the private key is encrypted, and no password is given'
      : 'the password does not open the private key';
  }
  return 'the certificate or the authority is no PEM text';
}
