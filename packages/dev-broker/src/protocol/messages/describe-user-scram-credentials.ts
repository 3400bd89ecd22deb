// Fields and versions as Apache Kafka 4.3.1 defines them. Made by test/protocol-generator.ts: do not edit.
import { api } from '../schema.ts';

export interface DescribeUserScramCredentialsRequest {
  users: UserName[] | null;
}

export interface UserName {
  name: string;
}

export interface DescribeUserScramCredentialsResponse {
  throttleTimeMs?: number;
  errorCode: number;
  errorMessage?: string | null;
  results: DescribeUserScramCredentialsResult[];
}

export interface DescribeUserScramCredentialsResult {
  user: string;
  errorCode: number;
  errorMessage?: string | null;
  credentialInfos: CredentialInfo[];
}

export interface CredentialInfo {
  mechanism: number;
  iterations: number;
}

export const describeUserScramCredentials = api<
  DescribeUserScramCredentialsRequest,
  DescribeUserScramCredentialsResponse
>({
  key: 50,
  name: 'DescribeUserScramCredentials',
  versions: [0, 0],
  flexibleSince: 0,
  request: [
    {
      name: 'users',
      type: '[]struct',
      versions: '0+',
      nullable: '0+',
      fields: [{ name: 'name', type: 'string', versions: '0+' }],
    },
  ],
  response: [
    { name: 'throttleTimeMs', type: 'int32', versions: '0+' },
    { name: 'errorCode', type: 'int16', versions: '0+' },
    { name: 'errorMessage', type: 'string', versions: '0+', nullable: '0+' },
    {
      name: 'results',
      type: '[]struct',
      versions: '0+',
      fields: [
        { name: 'user', type: 'string', versions: '0+' },
        { name: 'errorCode', type: 'int16', versions: '0+' },
        { name: 'errorMessage', type: 'string', versions: '0+', nullable: '0+' },
        {
          name: 'credentialInfos',
          type: '[]struct',
          versions: '0+',
          fields: [
            { name: 'mechanism', type: 'int8', versions: '0+' },
            { name: 'iterations', type: 'int32', versions: '0+' },
          ],
        },
      ],
    },
  ],
});
