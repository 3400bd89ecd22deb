import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './command.ts';

/** A private key (PKCS#8) and its certificate, both PEM. */
export interface KeyPair {
  key: string;
  certificate: string;
}

/** A certificate authority, and a server and a client signed by it; all PEM texts, the files in `folder`. */
export interface Certificates {
  folder: string;
  /** `ca.pem` */
  authority: string;
  /** For `localhost` and 127.0.0.1; `server.key`, `server.crt`, and both in `server.pem`. */
  server: KeyPair;
  /** Subject `CN=client`; `client.key`, `client.crt`, and both in `client.pem`. */
  client: KeyPair;
}

/** Makes fresh certificates, valid for ten years, in `folder` with the `openssl` command. */
export async function generateCertificates(folder: string): Promise<Certificates> {
  const openssl = (...args: string[]): Promise<unknown> => runCommand('openssl', args, { cwd: folder });
  const days = ['-days', '3650'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl('req', '-x509', ...curve, '-keyout', 'ca.key', '-out', 'ca.pem', ...days, '-subj', '/CN=test-ca');
  const sign = async (name: string, subject: string): Promise<KeyPair> => {
    writeFileSync(join(folder, `${name}.ext`), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
    await openssl('req', ...curve, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject);
    const authority = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', `0x${name === 'server' ? 1 : 2}`];
    const out = ['-out', `${name}.crt`, ...days, '-extfile', `${name}.ext`];
    await openssl('x509', '-req', '-in', `${name}.csr`, ...authority, ...out);
    const key = readFileSync(join(folder, `${name}.key`), 'utf8');
    const certificate = readFileSync(join(folder, `${name}.crt`), 'utf8');
    writeFileSync(join(folder, `${name}.pem`), key + certificate);
    return { key, certificate };
  };
  const server = await sign('server', '/CN=localhost');
  const client = await sign('client', '/CN=client');
  return { folder, authority: readFileSync(join(folder, 'ca.pem'), 'utf8'), server, client };
}
