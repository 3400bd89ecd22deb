import { channel } from 'node:diagnostics_channel';

/** Message of the channel `headrace:dev-broker:request`, published for every request before it is handled. */
export interface RequestMessage {
  readonly api: string;
  readonly apiKey: number;
  readonly version: number;
  readonly clientId: string;
  readonly connection: number;
  readonly node: number;
}

export const requests = channel('headrace:dev-broker:request');
