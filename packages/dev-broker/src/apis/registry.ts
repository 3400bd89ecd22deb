import type { Node } from '../cluster/cluster.ts';
import type { Api } from '../protocol/schema.ts';
import type { Connection } from '../server/connection.ts';

/** What a handler knows of the request beside its content. */
export interface RequestContext {
  readonly apiKey: number;
  readonly version: number;
  readonly clientId: string;
  readonly connection: Connection;
  /** The node that was asked. */
  readonly node: Node;
}

/** Answers one kind of request; `null` for no answer at all, `'close'` ends the connection. */
export type Handler<Request, Response> = (
  request: Request,
  context: RequestContext,
) => Response | null | 'close' | Promise<Response | null | 'close'>;

export interface Registered {
  readonly api: Api<unknown, unknown>;
  readonly handler: Handler<unknown, unknown>;
}

/** Which handler answers which API. */
export class Registry {
  readonly byKey = new Map<number, Registered>();

  on<Request, Response>(api: Api<Request, Response>, handler: Handler<Request, Response>): this {
    this.byKey.set(api.key, { api: api as Api<unknown, unknown>, handler: handler as Handler<unknown, unknown> });
    return this;
  }
}
