// Fields and versions as Apache Kafka 4.3.1 defines them. Made by test/protocol-generator.ts: do not edit.
import { api } from '../schema.ts';

export interface ConsumerGroupDescribeRequest {
  groupIds: string[];
  includeAuthorizedOperations: boolean;
}

export interface ConsumerGroupDescribeResponse {
  throttleTimeMs?: number;
  groups: DescribedGroup[];
}

export interface DescribedGroup {
  errorCode: number;
  errorMessage?: string | null;
  groupId: string;
  groupState: string;
  groupEpoch: number;
  assignmentEpoch: number;
  assignorName: string;
  members: Member[];
  authorizedOperations?: number;
}

export interface Member {
  memberId: string;
  instanceId?: string | null;
  rackId?: string | null;
  memberEpoch: number;
  clientId: string;
  clientHost: string;
  subscribedTopicNames: string[];
  subscribedTopicRegex?: string | null;
  assignment: Assignment;
  targetAssignment: Assignment;
  memberType?: number;
}

export interface Assignment {
  topicPartitions: TopicPartitions[];
}

export interface TopicPartitions {
  topicId: string;
  topicName: string;
  partitions: number[];
}

export const consumerGroupDescribe = api<ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse>({
  key: 69,
  name: 'ConsumerGroupDescribe',
  versions: [0, 1],
  flexibleSince: 0,
  request: [
    { name: 'groupIds', type: '[]string', versions: '0+' },
    { name: 'includeAuthorizedOperations', type: 'bool', versions: '0+' },
  ],
  response: [
    { name: 'throttleTimeMs', type: 'int32', versions: '0+' },
    {
      name: 'groups',
      type: '[]struct',
      versions: '0+',
      fields: [
        { name: 'errorCode', type: 'int16', versions: '0+' },
        { name: 'errorMessage', type: 'string', versions: '0+', nullable: '0+', default: null },
        { name: 'groupId', type: 'string', versions: '0+' },
        { name: 'groupState', type: 'string', versions: '0+' },
        { name: 'groupEpoch', type: 'int32', versions: '0+' },
        { name: 'assignmentEpoch', type: 'int32', versions: '0+' },
        { name: 'assignorName', type: 'string', versions: '0+' },
        {
          name: 'members',
          type: '[]struct',
          versions: '0+',
          fields: [
            { name: 'memberId', type: 'string', versions: '0+' },
            { name: 'instanceId', type: 'string', versions: '0+', nullable: '0+', default: null },
            { name: 'rackId', type: 'string', versions: '0+', nullable: '0+', default: null },
            { name: 'memberEpoch', type: 'int32', versions: '0+' },
            { name: 'clientId', type: 'string', versions: '0+' },
            { name: 'clientHost', type: 'string', versions: '0+' },
            { name: 'subscribedTopicNames', type: '[]string', versions: '0+' },
            { name: 'subscribedTopicRegex', type: 'string', versions: '0+', nullable: '0+', default: null },
            {
              name: 'assignment',
              type: 'struct',
              versions: '0+',
              fields: [
                {
                  name: 'topicPartitions',
                  type: '[]struct',
                  versions: '0+',
                  fields: [
                    { name: 'topicId', type: 'uuid', versions: '0+' },
                    { name: 'topicName', type: 'string', versions: '0+' },
                    { name: 'partitions', type: '[]int32', versions: '0+' },
                  ],
                },
              ],
            },
            {
              name: 'targetAssignment',
              type: 'struct',
              versions: '0+',
              fields: [
                {
                  name: 'topicPartitions',
                  type: '[]struct',
                  versions: '0+',
                  fields: [
                    { name: 'topicId', type: 'uuid', versions: '0+' },
                    { name: 'topicName', type: 'string', versions: '0+' },
                    { name: 'partitions', type: '[]int32', versions: '0+' },
                  ],
                },
              ],
            },
            { name: 'memberType', type: 'int8', versions: '1+', default: -1 },
          ],
        },
        { name: 'authorizedOperations', type: 'int32', versions: '0+', default: -2147483648 },
      ],
    },
  ],
});
