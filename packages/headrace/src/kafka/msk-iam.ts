import { HeadraceError } from '../errors.ts';

/** `b-1.name.abc123.c2.kafka.eu-central-1.amazonaws.com`, also `kafka-serverless` and China's domain. */
const BROKER_NAME = /\.kafka(?:-serverless)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$/;

/** The region that the name of an MSK broker holds, if it is one. */
export const regionOfBroker = (host: string): string | undefined => BROKER_NAME.exec(host)?.[1];

/**
 * A token for MSK's IAM access control: a presigned URL of `kafka-cluster:Connect`, base64url. It is signed anew for
 * every authentication, so it is never older than the connection's own; it lasts 15 minutes, and the broker asks for
 * re-authentication before.
 *
 * Source: https://github.com/aws/aws-msk-iam-sasl-signer-js
 */
export async function mskIamToken(
  host: string,
  options: { readonly region?: string; readonly profile?: string },
): Promise<string> {
  const region =
    options.region ?? regionOfBroker(host) ?? process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'];
  if (region === undefined) {
    throw new HeadraceError(
      'CONFIGURATION',
      `no AWS region: the broker name ${host} holds none; give one in the configuration or AWS_REGION`,
    );
  }
  // Loaded only where it is used: the signer brings the SDK's credential providers along.
  const signer = await import('aws-msk-iam-sasl-signer-js');
  const { token } =
    options.profile === undefined
      ? await signer.generateAuthToken({ region })
      : await signer.generateAuthTokenFromProfile({ region, awsProfileName: options.profile });
  return token;
}
