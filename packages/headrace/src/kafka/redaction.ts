import type { ClusterConfiguration } from './contract.ts';

/**
 * An object whose secret members are there, but not shown: JSON, `console.log` and copies leave them out.
 */
export function hideMembers<T extends object>(object: T, ...names: (keyof T & string)[]): T {
  for (const name of names) {
    if (object[name] !== undefined) Object.defineProperty(object, name, { enumerable: false });
  }
  return object;
}

/** What may be shown of a configuration: in logs, errors, snapshots and the API. */
export function describeCluster(configuration: ClusterConfiguration): Record<string, unknown> {
  const { bootstrapServers, tls, sasl } = configuration;
  return {
    bootstrapServers,
    securityProtocol: `${sasl === undefined ? '' : 'SASL_'}${tls === undefined ? 'PLAINTEXT' : 'SSL'}`,
    ...(sasl === undefined ? {} : { saslMechanism: sasl.mechanism }),
    ...(sasl !== undefined && 'username' in sasl ? { username: sasl.username } : {}),
    ...(tls === undefined
      ? {}
      : {
          ownCertificateAuthority: tls.certificateAuthority !== undefined,
          clientCertificate: tls.certificate !== undefined,
        }),
  };
}
