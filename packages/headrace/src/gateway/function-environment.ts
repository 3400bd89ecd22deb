import type { ProfileKeys } from './profile-credentials.ts';

/** The services behind the gateway, as `AWS_ENDPOINT_URL_…` names them. */
const ownServices = ['LAMBDA', 'DYNAMODB', 'SAGEMAKER', 'SAGEMAKER_RUNTIME', 'CLOUDWATCH_LOGS', 'STS', 'IAM'] as const;

/** Services that may live elsewhere: `AWS_ENDPOINT_URL_S3` and its like are handed on to the functions as they are. */
const passedThrough = /^AWS_ENDPOINT_URL_[A-Z0-9_]+$/;

/**
 * What an execution environment finds the AWS APIs by. An SDK signs with one key for all services, so:
 *
 * - without a profile the key is one that only this gateway accepts, and every service is looked for here unless
 *   `AWS_ENDPOINT_URL_<SERVICE>` of this process says where it lives; another service refuses that key.
 * - with a profile the key is the profile's. The gateway accepts it for its own services, and services that are not
 *   offered here are AWS's.
 */
export function functionEnvironment(options: {
  readonly endpoint: string;
  readonly keys: ProfileKeys;
  readonly isProfile: boolean;
  readonly processEnvironment: Readonly<Record<string, string | undefined>>;
}): Record<string, string> {
  const { endpoint, keys, isProfile, processEnvironment } = options;
  const own = isProfile
    ? Object.fromEntries(ownServices.map((service) => [`AWS_ENDPOINT_URL_${service}`, endpoint]))
    : { AWS_ENDPOINT_URL: endpoint };
  const elsewhere = Object.entries(processEnvironment).filter(([name]) => passedThrough.test(name));
  return {
    ...own,
    AWS_ACCESS_KEY_ID: keys.accessKeyId,
    AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
    ...(keys.sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: keys.sessionToken }),
    ...(Object.fromEntries(elsewhere) as Record<string, string>),
  };
}
