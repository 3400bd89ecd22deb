import { randomUUID } from 'node:crypto';
import type { AwsClients } from '../destinations/index.ts';
import { HeadraceError } from '../errors.ts';
import type { QueuedEvent } from '../store/event-queue.ts';
import type { EventResult } from './result.ts';

/** Delivers one thing; rejects when it is not safe there. */
export interface ResultDelivery {
  toDestination(arn: string, event: QueuedEvent, result: EventResult): Promise<void>;
  toDeadLetter(arn: string, event: QueuedEvent, result: EventResult): Promise<void>;
}

/** `submit` accepts an asynchronous invocation: how a result goes to another function. */
export function createResultDelivery(
  aws: AwsClients,
  submit: (functionArn: string, payload: Buffer) => void,
): ResultDelivery {
  return {
    async toDestination(arn, event, result) {
      const { service, region, accountId, resource } = takeApart(arn);
      switch (service) {
        case 'sqs':
          return await aws.sendMessage({ region, accountId, queueName: resource }, result.record);
        case 'sns':
          return await aws.publish(region, arn, result.record);
        case 'lambda':
          return submit(arn, Buffer.from(result.record));
        case 'events':
          return await aws.putEvent(region, {
            busArn: arn,
            detailType: `Lambda Function Invocation Result - ${result.condition === 'Success' ? 'Success' : 'Failure'}`,
            detail: result.record,
            resources: [arn, result.functionArn],
          });
        case 's3': {
          const time = new Date().toISOString();
          const day = time.slice(0, 10).replaceAll('-', '/');
          const name = `${time.slice(0, 19).replaceAll(':', '.')}-${randomUUID()}`;
          return await aws.putObject(resource, `aws/lambda/async/${event.functionName}/${day}/${name}`, result.record);
        }
        default:
          throw new HeadraceError('CONFIGURATION', `${arn} is no destination of asynchronous invocations`);
      }
    },
    async toDeadLetter(arn, event, result) {
      const { service, region, accountId, resource } = takeApart(arn);
      const attributes = {
        RequestID: { DataType: 'String' as const, StringValue: event.requestId },
        ErrorCode: { DataType: 'Number' as const, StringValue: String(result.error?.statusCode ?? 200) },
        // SQS and SNS refuse an empty attribute.
        ...(result.error?.message
          ? { ErrorMessage: { DataType: 'String' as const, StringValue: result.error.message } }
          : {}),
      };
      const body = event.payload.toString('utf8');
      if (service === 'sqs') await aws.sendMessage({ region, accountId, queueName: resource }, body, attributes);
      else if (service === 'sns') await aws.publish(region, arn, body, attributes);
      else throw new HeadraceError('CONFIGURATION', `${arn} is no SQS queue and no SNS topic`);
    },
  };
}

function takeApart(arn: string): { service: string; region: string; accountId: string; resource: string } {
  const [, , service = '', region = '', accountId = '', ...rest] = arn.split(':');
  return { service, region, accountId, resource: rest.join(':') };
}
