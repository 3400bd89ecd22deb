import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { type MessageAttributeValue, PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { HeadraceError } from '../errors.ts';

type Attributes = Readonly<Record<string, { readonly DataType: 'String' | 'Number'; readonly StringValue: string }>>;

/**
 * The AWS services that results are delivered to, by the official SDKs: endpoints and credentials as everywhere
 * (`AWS_ENDPOINT_URL_SQS`…, the credential chain), two tries more by themselves. What fails rejects with DESTINATION.
 */
export class AwsClients {
  readonly #sqs = new Map<string, SQSClient>();
  readonly #sns = new Map<string, SNSClient>();
  readonly #eventBridge = new Map<string, EventBridgeClient>();
  readonly #queueUrls = new Map<string, string>();
  #s3: S3Client | undefined;

  /** `address`: of an SQS queue. */
  async sendMessage(
    address: { readonly region: string; readonly accountId: string; readonly queueName: string },
    body: string,
    attributes: Attributes = {},
  ): Promise<void> {
    const { region, accountId, queueName } = address;
    const client = cached(this.#sqs, region, () => new SQSClient({ region }));
    await guard(`SQS queue ${queueName}`, async () => {
      const name = `${region}/${accountId}/${queueName}`;
      let url = this.#queueUrls.get(name);
      if (url === undefined) {
        const owner = accountId === '' ? {} : { QueueOwnerAWSAccountId: accountId };
        const found = await client.send(new GetQueueUrlCommand({ QueueName: queueName, ...owner }));
        url = found.QueueUrl ?? '';
        this.#queueUrls.set(name, url);
      }
      await client.send(
        new SendMessageCommand({ QueueUrl: url, MessageBody: body, MessageAttributes: { ...attributes } }),
      );
    });
  }

  async publish(region: string, topicArn: string, message: string, attributes: Attributes = {}): Promise<void> {
    const client = cached(this.#sns, region, () => new SNSClient({ region }));
    const MessageAttributes: Record<string, MessageAttributeValue> = { ...attributes };
    await guard(topicArn, () =>
      client.send(new PublishCommand({ TopicArn: topicArn, Message: message, MessageAttributes })),
    );
  }

  async putObject(bucket: string, key: string, body: string): Promise<void> {
    this.#s3 ??= new S3Client({
      region: process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'] ?? 'us-east-1',
      // Servers that stand in for S3 seldom answer under a host name a bucket.
      forcePathStyle: process.env['AWS_ENDPOINT_URL_S3'] !== undefined || process.env['AWS_ENDPOINT_URL'] !== undefined,
      followRegionRedirects: true,
    });
    const client = this.#s3;
    const input = { Bucket: bucket, Key: key, ContentType: 'application/json', Body: body };
    await guard(`S3 bucket ${bucket}`, () => client.send(new PutObjectCommand(input)));
  }

  async putEvent(
    region: string,
    event: {
      readonly busArn: string;
      readonly detailType: string;
      readonly detail: string;
      readonly resources: string[];
    },
  ): Promise<void> {
    const client = cached(this.#eventBridge, region, () => new EventBridgeClient({ region }));
    await guard(event.busArn, async () => {
      const { FailedEntryCount, Entries } = await client.send(
        new PutEventsCommand({
          Entries: [
            {
              EventBusName: event.busArn,
              Source: 'lambda',
              DetailType: event.detailType,
              Detail: event.detail,
              Resources: event.resources,
            },
          ],
        }),
      );
      if (FailedEntryCount) throw new Error(`${Entries?.[0]?.ErrorCode}: ${Entries?.[0]?.ErrorMessage}`);
    });
  }

  close(): void {
    for (const client of [...this.#sqs.values(), ...this.#sns.values(), ...this.#eventBridge.values()])
      client.destroy();
    this.#s3?.destroy();
  }
}

export function cached<T>(map: Map<string, T>, key: string, make: () => T): T {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

/** A failure of the SDK in the catalogue's words. */
async function guard(destination: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    throw new HeadraceError('DESTINATION', `${destination}: ${reason}`, { cause: error });
  }
}
