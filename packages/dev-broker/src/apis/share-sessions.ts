import { RequestError } from '../protocol/errors.ts';

/** What a member reads from one node, told once (KIP-932). */
export interface ShareSession {
  epoch: number;
  /** Most bytes by `topicId/partition`. */
  readonly targets: Map<string, number>;
}

const OPENS = 0;
export const CLOSES = -1;

/** Share sessions of one node. Requests of either kind, fetch and acknowledge, count the epoch up. */
export class ShareSessions {
  readonly #sessions = new Map<string, ShareSession>();
  readonly #maximum: number;

  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** @throws RequestError SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH, SHARE_SESSION_LIMIT_REACHED */
  use(groupId: string, memberId: string, epoch: number): ShareSession {
    const key = `${groupId}\0${memberId}`;
    if (epoch === OPENS) {
      if (!this.#sessions.has(key) && this.#sessions.size >= this.#maximum) {
        throw new RequestError('SHARE_SESSION_LIMIT_REACHED');
      }
      const session = { epoch: 1, targets: new Map<string, number>() };
      this.#sessions.set(key, session);
      return session;
    }
    const session = this.#sessions.get(key);
    if (!session) throw new RequestError('SHARE_SESSION_NOT_FOUND');
    if (epoch === CLOSES) {
      this.#sessions.delete(key);
      return session;
    }
    if (session.epoch !== epoch) throw new RequestError('INVALID_SHARE_SESSION_EPOCH');
    session.epoch = session.epoch === 0x7fff_ffff ? 1 : session.epoch + 1;
    return session;
  }
}
