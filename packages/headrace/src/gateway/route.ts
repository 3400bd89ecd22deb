/**
 * The contract between the one HTTP door (`gateway/server.ts`) and the APIs behind it. An API is a list of routes;
 * authentication, request ids, size limits and audit happen in the gateway before a handler sees the request.
 */
export interface ApiRequest {
  readonly method: string;
  /** Raw path, percent-encoding kept. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly requestId: string;
  /** Access key id that signed the request; undefined when signatures are not checked. */
  readonly principal: string | undefined;
}

export interface ApiResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text and objects are sent as JSON unless `content-type` says otherwise. */
  readonly body?: Buffer | string | object | AsyncIterable<Buffer>;
}

export interface Api {
  /** `lambda`, `sagemaker`, `dynamodb`...: SigV4's service name, by which requests are told apart. */
  readonly service: string;
  /** Undefined: not a path of this API. */
  handle(request: ApiRequest): Promise<ApiResponse | undefined>;
  /**
   * True for a request that proves by itself that it may be answered (a signed download link): it needs no signature
   * of a caller. Absent: there are none.
   */
  carriesOwnProof?(request: Pick<ApiRequest, 'method' | 'path' | 'query' | 'headers'>): boolean;
}
