import { HeadraceError } from '../errors.ts';

/** Where a destination is, read from a mapping's `OnFailure.Destination`. */
export type DestinationAddress =
  | { readonly kind: 'sqs'; readonly region: string; readonly accountId: string; readonly queueName: string }
  | { readonly kind: 'sns'; readonly region: string; readonly topicArn: string }
  | { readonly kind: 's3'; readonly bucket: string }
  | { readonly kind: 'kafka'; readonly topic: string };

/**
 * @throws HeadraceError CONFIGURATION for FIFO queues and topics (spec ESM 10), and for anything that is no SQS, SNS or S3
 * ARN and no `kafka://topic`
 */
export function parseDestination(text: string): DestinationAddress {
  const topic = /^kafka:\/\/([^.][a-zA-Z0-9\-_.]{0,248})$/.exec(text)?.[1];
  if (topic !== undefined) return { kind: 'kafka', topic };
  const [, service, region = '', accountId = '', resource = ''] =
    /^arn:aws[a-zA-Z-]*:([a-z0-9]+):([a-z0-9-]*):(\d*):(.+)$/.exec(text) ?? [];
  if ((service === 'sqs' || service === 'sns') && resource.endsWith('.fifo'))
    throw new HeadraceError(
      'CONFIGURATION',
      `DestinationConfig.OnFailure.Destination: ${text} is FIFO, which Lambda does not write to`,
    );
  if (service === 'sqs') return { kind: 'sqs', region, accountId, queueName: resource };
  if (service === 'sns') return { kind: 'sns', region, topicArn: text };
  if (service === 's3') return { kind: 's3', bucket: resource };
  throw new HeadraceError(
    'CONFIGURATION',
    `DestinationConfig.OnFailure.Destination must be the ARN of an SQS queue, an SNS topic or an S3 bucket, or kafka://topic; it is "${text}"`,
  );
}
