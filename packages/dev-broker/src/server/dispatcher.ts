import type { Registered, Registry, RequestContext } from '../apis/registry.ts';
import { apiVersionList } from '../apis/versions.ts';
import { CutAnswer } from '../faults/faults.ts';
import { ErrorCode } from '../protocol/errors.ts';
import { ProtocolError, Reader } from '../protocol/reader.ts';
import type { Api } from '../protocol/schema.ts';
import type { Authentication } from '../security/authentication.ts';
import { type RequestMessage, requests } from '../telemetry.ts';
import { type Answer, type Connection, frameAnswer, readHeader, skipTags } from './connection.ts';

const API_VERSIONS = 18;

/** What stands between a request and its handler, such as authentication or faults. May answer instead of it. */
export type Interceptor = (
  registered: Registered,
  request: unknown,
  context: RequestContext,
  handle: () => unknown,
) => unknown;

/** Decodes requests, lets handlers answer them, and encodes the answers. */
export class Dispatcher {
  readonly #registry: Registry;
  readonly #intercept: Interceptor;
  readonly #authentication: Authentication;

  constructor(registry: Registry, authentication: Authentication, intercept: Interceptor) {
    this.#authentication = authentication;
    this.#registry = registry;
    this.#intercept = intercept;
  }

  /** @throws ProtocolError for what no client sends; the connection is closed then */
  readonly respond = (frame: Buffer, connection: Connection): Answer | Promise<Answer> => {
    const bare = this.#authentication.bareToken(frame, connection);
    if (bare) return bare.then((answer) => (answer === 'close' ? answer : [answer]));
    const reader = new Reader(frame);
    const header = readHeader(reader);
    const { apiKey, version, correlationId, clientId } = header;
    connection.clientId = clientId;
    const registered = this.#registry.byKey.get(apiKey);
    if (!registered) throw new ProtocolError(`unknown API key ${apiKey}`);
    const { api } = registered;
    if (requests.hasSubscribers) {
      const message = { api: api.name, apiKey, version, clientId, connection: connection.id, node: connection.node.id };
      requests.publish(message satisfies RequestMessage);
    }
    if (!api.supports(version)) {
      if (apiKey === API_VERSIONS) return this.#versionsAnswer(api, correlationId);
      throw new ProtocolError(`${api.name} version ${version} is not supported`);
    }
    if (api.isFlexible(version)) skipTags(reader);
    const request = api.readRequest(reader, version);
    const context: RequestContext = { apiKey, version, clientId, connection, node: connection.node };
    this.#authentication.check(registered, context);
    const handle = (): unknown => registered.handler(request, context);
    const response = this.#intercept(registered, request, context, handle);
    const encode = (value: unknown): Answer => {
      if (value === null) return null;
      if (value === 'close') return 'close';
      if (value instanceof CutAnswer) {
        const whole = encode(value.response);
        if (!Array.isArray(whole)) return whole;
        return { cutAfter: [Buffer.concat(whole).subarray(0, value.bytes)] };
      }
      // The answer to ApiVersions is read before the client knows what the broker speaks: its header has no tags.
      const hasTags = api.isFlexible(version) && apiKey !== API_VERSIONS;
      return frameAnswer(correlationId, hasTags, (writer) => api.writeResponse(writer, version, value));
    };
    return response instanceof Promise ? response.then(encode) : encode(response);
  };

  /** KIP-511: a version of ApiVersions that is too new is answered in version 0 and told the versions of itself. */
  #versionsAnswer(api: Api<unknown, unknown>, correlationId: number): Answer {
    const apiKeys = apiVersionList(this.#registry).filter(({ apiKey }) => apiKey === API_VERSIONS);
    const response = { errorCode: ErrorCode.UNSUPPORTED_VERSION, apiKeys };
    return frameAnswer(correlationId, false, (writer) => api.writeResponse(writer, 0, response));
  }
}
