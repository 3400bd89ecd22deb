import type { Exchange, HttpConnection } from './http-connection.ts';

/** The paths of the Runtime API's port that are not the runtime's own. */
export interface Extensions {
  /** True when the request was one of these paths and is or will be answered. */
  request(exchange: Exchange, body: Buffer): boolean;
  closed(connection: HttpConnection): void;
}
