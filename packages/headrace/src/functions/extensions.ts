import { randomUUID } from 'node:crypto';
import type { FunctionVersion } from './definition.ts';
import type { Exchange, HttpConnection } from './http-connection.ts';
import type { Invocation } from './invocation.ts';

const prefix = '/2020-01-01/extension/';
const extensionLimit = 10;

export interface ExtensionsDelegate {
  /** An extension asked for its next event: initialisation or invocation may be complete now. */
  extensionsChanged(): void;
  /** An extension gave up. */
  extensionFailed(errorType: string): void;
}

interface Extension {
  readonly id: string;
  readonly name: string;
  readonly external: boolean;
  readonly invoke: boolean;
  readonly shutdown: boolean;
  /** The open `event/next`. */
  next: Exchange | undefined;
  /** Has asked for an event since the last INVOKE (or ever). */
  done: boolean;
  pending: string | undefined;
}

/**
 * The Extensions API of one environment (version 2020-01-01): register, next, errors. External extensions are
 * executables below `/opt/extensions`; internal ones live in the runtime's process. An initialisation and an invocation
 * are complete when they, too, have asked for more. Telemetry is not offered, which they are told as AWS's emulator does.
 */
export class Extensions {
  readonly #delegate: ExtensionsDelegate;
  readonly #version: FunctionVersion;
  readonly #accountId: string;
  readonly #extensions = new Map<string, Extension>();
  #expected = new Set<string>();
  #registering = true;

  constructor(version: FunctionVersion, delegate: ExtensionsDelegate) {
    this.#version = version;
    this.#delegate = delegate;
    this.#accountId = version.functionArn.split(':')[4] ?? '';
  }

  /** A new process begins, with these external extensions. */
  reset(external: readonly string[]): void {
    this.#extensions.clear();
    this.#expected = new Set(external);
    this.#registering = true;
  }

  get count(): number {
    return this.#extensions.size;
  }

  get hasExternal(): boolean {
    return this.#expected.size > 0;
  }

  /** Every external extension has registered and every extension has asked for its first event. */
  get initialized(): boolean {
    if (this.#extensions.size === 0) return this.#expected.size === 0;
    const names = new Set([...this.#extensions.values()].map((each) => each.name));
    return [...this.#expected].every((name) => names.has(name)) && this.idle;
  }

  /** Nobody works on the last event any more. */
  get idle(): boolean {
    for (const each of this.#extensions.values()) if (!each.done) return false;
    return true;
  }

  /** Initialisation is over: from now on nobody can register. */
  seal(): void {
    this.#registering = false;
  }

  invoke(invocation: Invocation, deadlineMs: number): void {
    if (this.#extensions.size === 0) return;
    const event = JSON.stringify({
      eventType: 'INVOKE',
      deadlineMs,
      requestId: invocation.requestId,
      invokedFunctionArn: invocation.invokedFunctionArn,
      tracing: { type: 'X-Amzn-Trace-Id', value: invocation.traceHeader },
    });
    for (const each of this.#extensions.values()) if (each.invoke) this.#push(each, event);
  }

  /** Tells those that want to know; false when nobody does. */
  shutdown(reason: 'spindown' | 'timeout' | 'failure', deadlineMs: number): boolean {
    let told = false;
    for (const each of this.#extensions.values()) {
      if (!each.shutdown) continue;
      this.#push(each, JSON.stringify({ eventType: 'SHUTDOWN', shutdownReason: reason, deadlineMs }));
      told = true;
    }
    return told;
  }

  #push(extension: Extension, event: string): void {
    extension.done = false;
    extension.pending = event;
    if (extension.next !== undefined) this.#hand(extension, extension.next);
  }

  #hand(extension: Extension, exchange: Exchange): void {
    const event = extension.pending!;
    extension.pending = undefined;
    extension.next = undefined;
    exchange.answer(200, event, `Lambda-Extension-Event-Identifier: ${randomUUID()}\r\n`);
  }

  /** True when the path is one of these and the request is or will be answered. */
  request(exchange: Exchange, body: Buffer): boolean {
    const { path, method } = exchange;
    if (path === '/2022-07-01/telemetry' || path === '/2020-08-15/logs') {
      const name = path.endsWith('logs') ? 'Logs' : 'Telemetry';
      refuse(exchange, 202, `${name}.NotSupported`, `${name} API is not supported`);
      return true;
    }
    if (!path.startsWith(prefix)) return false;
    const operation = path.slice(prefix.length);
    if (operation === 'register' && method === 'POST') {
      this.#register(exchange, body);
      return true;
    }
    const known =
      operation === 'event/next' ? 'GET' : operation === 'init/error' || operation === 'exit/error' ? 'POST' : '';
    if (known === '' || known !== method) return false;
    const id = exchange.headers['lambda-extension-identifier'];
    const extension = id === undefined ? undefined : this.#extensions.get(id);
    if (extension === undefined) {
      const missing = id === undefined;
      refuse(
        exchange,
        403,
        missing ? 'Extension.MissingExtensionIdentifier' : 'Extension.InvalidExtensionIdentifier',
        missing ? 'Missing Lambda-Extension-Identifier header' : 'Invalid Lambda-Extension-Identifier',
      );
    } else if (operation === 'event/next') {
      extension.next = exchange;
      extension.done = extension.pending === undefined;
      if (extension.pending !== undefined) this.#hand(extension, exchange);
      else this.#delegate.extensionsChanged();
    } else {
      exchange.answer(202, '{"status":"OK"}');
      this.#delegate.extensionFailed(operation === 'init/error' ? 'Extension.InitError' : 'Extension.ExitError');
    }
    return true;
  }

  #register(exchange: Exchange, body: Buffer): void {
    const name = exchange.headers['lambda-extension-name'] ?? '';
    const events = eventsOf(body);
    const external = this.#expected.has(name);
    const taken = [...this.#extensions.values()].some((each) => each.name === name);
    if (name === '') {
      refuse(exchange, 403, 'Extension.InvalidExtensionName', 'Missing Lambda-Extension-Name header');
    } else if (events === undefined) {
      refuse(
        exchange,
        400,
        'InvalidRequestFormat',
        'The body must be {"events":["INVOKE","SHUTDOWN"]}, or fewer of them',
      );
    } else if (!this.#registering) {
      refuse(exchange, 403, 'Extension.RegistrationClosed', 'Extension registration closed already');
    } else if (taken || this.#extensions.size >= extensionLimit) {
      refuse(
        exchange,
        403,
        'Extension.AlreadyRegistered',
        taken ? 'Extension with this name is registered already' : 'Ten extensions are registered already',
      );
    } else if (!external && events.includes('SHUTDOWN')) {
      refuse(
        exchange,
        400,
        'ShutdownEventNotSupportedForInternalExtension',
        'Shutdown event not supported for internal extensions',
      );
    } else {
      const id = randomUUID();
      this.#extensions.set(id, {
        id,
        name,
        external,
        invoke: events.includes('INVOKE'),
        shutdown: events.includes('SHUTDOWN'),
        next: undefined,
        done: false,
        pending: undefined,
      });
      const { functionName, version, handler } = this.#version;
      const wantsAccount = (exchange.headers['lambda-extension-accept-feature'] ?? '')
        .split(',')
        .some((each) => each.trim() === 'accountId');
      const answer = {
        functionName,
        functionVersion: version,
        handler,
        ...(wantsAccount ? { accountId: this.#accountId } : {}),
      };
      exchange.answer(200, JSON.stringify(answer), `Lambda-Extension-Identifier: ${id}\r\n`);
    }
  }

  closed(connection: HttpConnection): void {
    for (const each of this.#extensions.values()) if (each.next?.connection === connection) each.next = undefined;
  }
}

function eventsOf(body: Buffer): string[] | undefined {
  try {
    const parsed: unknown = JSON.parse(body.toString());
    if (typeof parsed !== 'object' || parsed === null || !('events' in parsed)) return undefined;
    const { events } = parsed;
    if (!Array.isArray(events) || !events.every((each) => each === 'INVOKE' || each === 'SHUTDOWN')) return undefined;
    return events as string[];
  } catch {
    return undefined;
  }
}

function refuse(exchange: Exchange, status: number, errorType: string, errorMessage: string): void {
  exchange.answer(status, JSON.stringify({ errorMessage, errorType }));
}
