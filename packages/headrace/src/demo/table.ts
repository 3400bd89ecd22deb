import { type AttributeValue, type DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';

/** What the demo reads back from an item that the handler wrote. */
export interface StoredScore {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly score: number;
  readonly anomalous: boolean;
}

/** Reads the whole table: what is really stored, not what was meant to be. Calls back an item; resolves to the count. */
export async function scanScores(
  client: DynamoDBClient,
  tableName: string,
  onItem: (item: StoredScore) => void,
): Promise<number> {
  let count = 0;
  let from: Record<string, AttributeValue> | undefined;
  do {
    const page = await client.send(
      new ScanCommand({
        TableName: tableName,
        ProjectionExpression: '#topic, #partition, #offset, rcf_score, anomalous',
        ExpressionAttributeNames: { '#topic': 'topic', '#partition': 'partition', '#offset': 'offset' },
        ...(from ? { ExclusiveStartKey: from } : {}),
      }),
    );
    for (const item of page.Items ?? []) {
      count += 1;
      onItem({
        topic: item['topic']?.S ?? '',
        partition: Number(item['partition']?.N),
        offset: Number(item['offset']?.N),
        score: Number(item['rcf_score']?.N),
        anomalous: item['anomalous']?.BOOL === true,
      });
    }
    from = page.LastEvaluatedKey;
  } while (from);
  return count;
}
