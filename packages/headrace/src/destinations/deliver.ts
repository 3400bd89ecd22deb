import { randomUUID } from 'node:crypto';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { GetQueueUrlCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { HeadraceError } from '../errors.ts';
import type { ClusterConfiguration } from '../kafka/contract.ts';
import type { MappingDefinition } from '../mappings/definition.ts';
import type { Destinations, FailedBatch } from '../mappings/destinations.ts';
import { parseDestination } from './address.ts';
import { batchDocument, objectDocument, objectKey, topicMessages } from './document.ts';
import { KafkaWriter } from './kafka-writer.ts';

export interface DestinationOptions {
  /** The cluster that a mapping reads; a `kafka://` destination lies in the same one (spec ESM 10.3). */
  readonly clusterConfiguration: (definition: MappingDefinition) => Promise<ClusterConfiguration>;
}

export interface DeliveringDestinations extends Destinations {
  close(): Promise<void>;
}

/**
 * On-failure destinations over the official SDKs, which find endpoints and credentials as everywhere
 * (`AWS_ENDPOINT_URL_SQS`, the credential chain) and try twice more by themselves. A delivery that fails rejects; the
 * mapping then keeps the records and calls again (where AWS would drop them, spec ESM 10.4).
 */
export function createDestinations(options: DestinationOptions): DeliveringDestinations {
  return new SdkDestinations(options);
}

class SdkDestinations implements DeliveringDestinations {
  readonly #options: DestinationOptions;
  readonly #sqs = new Map<string, SQSClient>();
  readonly #sns = new Map<string, SNSClient>();
  readonly #queueUrls = new Map<string, string>();
  readonly #writers = new Map<string, KafkaWriter>();
  #s3: S3Client | undefined;

  constructor(options: DestinationOptions) {
    this.#options = options;
  }

  async deliver(batch: FailedBatch): Promise<void> {
    const address = parseDestination(batch.destination);
    switch (address.kind) {
      case 'sqs': {
        const client = cached(this.#sqs, address.region, () => new SQSClient({ region: address.region }));
        await guard(batch, async () => {
          let url = this.#queueUrls.get(batch.destination);
          if (url === undefined) {
            const found = await client.send(
              new GetQueueUrlCommand({
                QueueName: address.queueName,
                ...(address.accountId ? { QueueOwnerAWSAccountId: address.accountId } : {}),
              }),
            );
            url = found.QueueUrl ?? '';
            this.#queueUrls.set(batch.destination, url);
          }
          await client.send(
            new SendMessageCommand({ QueueUrl: url, MessageBody: JSON.stringify(batchDocument(batch)) }),
          );
        });
        return;
      }
      case 'sns': {
        const client = cached(this.#sns, address.region, () => new SNSClient({ region: address.region }));
        await guard(batch, () =>
          client.send(
            new PublishCommand({ TopicArn: address.topicArn, Message: JSON.stringify(batchDocument(batch)) }),
          ),
        );
        return;
      }
      case 's3': {
        this.#s3 ??= new S3Client({
          region: process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'] ?? 'us-east-1',
          // Servers that stand in for S3 seldom answer under a host name a bucket.
          forcePathStyle:
            process.env['AWS_ENDPOINT_URL_S3'] !== undefined || process.env['AWS_ENDPOINT_URL'] !== undefined,
          followRegionRedirects: true,
        });
        const client = this.#s3;
        await guard(batch, () =>
          client.send(
            new PutObjectCommand({
              Bucket: address.bucket,
              Key: objectKey(batch, randomUUID()),
              ContentType: 'application/json',
              Body: JSON.stringify(objectDocument(batch)),
            }),
          ),
        );
        return;
      }
      case 'kafka': {
        if (batch.mapping.topics.includes(address.topic))
          throw new HeadraceError(
            'CONFIGURATION',
            `${batch.destination} is the topic that the mapping reads: its failures would come back for ever`,
          );
        const configuration = await this.#options.clusterConfiguration(batch.mapping);
        const writer = cached(this.#writers, batch.mapping.uuid, () => new KafkaWriter(configuration));
        await writer.write(address.topic, topicMessages(batch));
        return;
      }
    }
  }

  async close(): Promise<void> {
    for (const client of [...this.#sqs.values(), ...this.#sns.values(), this.#s3]) client?.destroy();
    await Promise.all([...this.#writers.values()].map((writer) => writer.close()));
  }
}

function cached<T>(map: Map<string, T>, key: string, make: () => T): T {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

/** A failure of the SDK in the catalogue's words. */
async function guard(batch: FailedBatch, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    throw new HeadraceError('DESTINATION', `${batch.destination}: ${reason}`, { cause: error });
  }
}
