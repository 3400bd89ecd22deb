import { HeadraceError } from '../errors.ts';
import type { ClusterConfiguration } from './contract.ts';
import { hideMembers } from './redaction.ts';
import type { SecretResolver } from './secrets.ts';

/** Where a mapping reads from: Amazon MSK (by the cluster's ARN), or Kafka by its bootstrap servers. */
export type ClusterKind = 'MSK' | 'SELF_MANAGED';

export interface AccessConfiguration {
  readonly Type: string;
  readonly URI: string;
}

const refused = (message: string): HeadraceError => new HeadraceError('CONFIGURATION', message);

/** Spec ESM 13.1: which `Type` goes with which kind of cluster. */
const matrix: Readonly<Record<string, readonly ClusterKind[]>> = {
  SASL_SCRAM_512_AUTH: ['MSK', 'SELF_MANAGED'],
  SASL_SCRAM_256_AUTH: ['SELF_MANAGED'],
  BASIC_AUTH: ['SELF_MANAGED'],
  CLIENT_CERTIFICATE_TLS_AUTH: ['MSK', 'SELF_MANAGED'],
  SERVER_ROOT_CA_CERTIFICATE: ['SELF_MANAGED'],
  VPC_SUBNET: ['SELF_MANAGED'],
  VPC_SECURITY_GROUP: ['SELF_MANAGED'],
  // Amazon MQ for RabbitMQ alone.
  VIRTUAL_HOST: [],
};

const mechanisms: Readonly<Record<string, 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'>> = {
  BASIC_AUTH: 'PLAIN',
  SASL_SCRAM_256_AUTH: 'SCRAM-SHA-256',
  SASL_SCRAM_512_AUTH: 'SCRAM-SHA-512',
};

const kindNames: Readonly<Record<ClusterKind, string>> = { MSK: 'Amazon MSK', SELF_MANAGED: 'self-managed Kafka' };

/**
 * Holds access configurations against Lambda's matrix (spec ESM 13.1).
 *
 * @throws HeadraceError CONFIGURATION, naming the element
 */
export function validateAccess(kind: ClusterKind, configurations: readonly AccessConfiguration[]): void {
  const seen = new Set<string>();
  configurations.forEach(({ Type: type, URI: uri }, index) => {
    const where = `SourceAccessConfigurations[${index}]`;
    const kinds = matrix[type];
    if (kinds === undefined) {
      throw refused(`${where}.Type: ${type} is none of ${Object.keys(matrix).join(', ')}`);
    }
    if (!kinds.includes(kind)) {
      const others = kinds.map((each) => kindNames[each]).join(', ');
      throw refused(
        `${where}.Type: ${type} does not go with ${kindNames[kind]}${others ? `, only with ${others}` : ''}`,
      );
    }
    const isRepeatable = type === 'VPC_SUBNET' || type === 'VPC_SECURITY_GROUP';
    if (seen.has(type) && !isRepeatable) throw refused(`${where}.Type: ${type} is given twice`);
    seen.add(type);
    if (type === 'VPC_SUBNET' && !/^subnet:subnet-[0-9a-z]+$/.test(uri)) {
      throw refused(`${where}.URI: ${type} takes subnet:subnet-…`);
    }
    if (type === 'VPC_SECURITY_GROUP' && !/^security_group:sg-[0-9a-z]+$/.test(uri)) {
      throw refused(`${where}.URI: ${type} takes security_group:sg-…`);
    }
    if (!isRepeatable && uri.trim() === '') throw refused(`${where}.URI: the ARN or name of a secret is needed`);
  });
  const mechanismsGiven = [...seen].filter((type) => type in mechanisms || type === 'CLIENT_CERTIFICATE_TLS_AUTH');
  if (mechanismsGiven.length > 1) {
    throw refused(`SourceAccessConfigurations: one authentication at most, not ${mechanismsGiven.join(' and ')}`);
  }
}

/**
 * Makes the configuration of a cluster out of what a mapping names. SASL goes over TLS always, as on AWS; a mapping
 * without any secret is plaintext (spec ESM 13.1).
 *
 * @throws HeadraceError CONFIGURATION, SECRET_UNAVAILABLE
 */
export async function resolveAccess(
  kind: ClusterKind,
  bootstrapServers: readonly string[],
  configurations: readonly AccessConfiguration[],
  secrets: SecretResolver,
): Promise<ClusterConfiguration> {
  validateAccess(kind, configurations);
  let sasl: ClusterConfiguration['sasl'];
  let certificateAuthority: string | undefined;
  let client: { certificate: string; privateKey: string; privateKeyPassword?: string } | undefined;
  for (const { Type: type, URI: uri } of configurations) {
    const mechanism = mechanisms[type];
    if (mechanism !== undefined) {
      const document = await read(secrets, uri);
      const username = member(document, 'username', uri);
      const password = member(document, 'password', uri);
      sasl = hideMembers({ mechanism, username, password }, 'password');
    } else if (type === 'CLIENT_CERTIFICATE_TLS_AUTH') {
      const document = await read(secrets, uri);
      // Forms of secrets leave what does not apply empty.
      const hasPassword = !['', null, undefined].includes(document['privateKeyPassword'] as string);
      const password = hasPassword ? member(document, 'privateKeyPassword', uri) : undefined;
      client = {
        certificate: member(document, 'certificate', uri),
        privateKey: member(document, 'privateKey', uri),
        ...(password === undefined ? {} : { privateKeyPassword: password }),
      };
    } else if (type === 'SERVER_ROOT_CA_CERTIFICATE') {
      certificateAuthority = member(await read(secrets, uri), 'certificate', uri);
    }
  }
  const isTls = sasl !== undefined || certificateAuthority !== undefined || client !== undefined;
  const tls = hideMembers(
    { ...(certificateAuthority === undefined ? {} : { certificateAuthority }), ...client } as NonNullable<
      ClusterConfiguration['tls']
    >,
    'privateKey',
    'privateKeyPassword',
  );
  return { bootstrapServers, ...(isTls ? { tls } : {}), ...(sasl === undefined ? {} : { sasl }) };
}

async function read(secrets: SecretResolver, uri: string): Promise<Record<string, unknown>> {
  const text = await secrets(uri);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    // The parser's message would quote the secret.
    throw new HeadraceError('SECRET_UNAVAILABLE', `secret ${uri} is not JSON`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new HeadraceError('SECRET_UNAVAILABLE', `secret ${uri} is no JSON object`);
  }
  return parsed as Record<string, unknown>;
}

function member(document: Record<string, unknown>, name: string, uri: string): string {
  const value = document[name];
  if (typeof value === 'string' && value !== '') return value;
  throw new HeadraceError('SECRET_UNAVAILABLE', `secret ${uri} has no member "${name}" with a text`);
}
