// Fields and versions as Apache Kafka 4.3.1 defines them. Made by test/protocol-generator.ts: do not edit.
import { api } from '../schema.ts';

export interface ListConfigResourcesRequest {
  resourceTypes: number[];
}

export interface ListConfigResourcesResponse {
  throttleTimeMs?: number;
  errorCode: number;
  configResources: ConfigResource[];
}

export interface ConfigResource {
  resourceName: string;
  resourceType?: number;
}

export const listConfigResources = api<ListConfigResourcesRequest, ListConfigResourcesResponse>({
  key: 74,
  name: 'ListConfigResources',
  versions: [0, 1],
  flexibleSince: 0,
  request: [{ name: 'resourceTypes', type: '[]int8', versions: '1+' }],
  response: [
    { name: 'throttleTimeMs', type: 'int32', versions: '0+' },
    { name: 'errorCode', type: 'int16', versions: '0+' },
    {
      name: 'configResources',
      type: '[]struct',
      versions: '0+',
      fields: [
        { name: 'resourceName', type: 'string', versions: '0+' },
        { name: 'resourceType', type: 'int8', versions: '1+', default: 16 },
      ],
    },
  ],
});
