/** Who a token is of, and until when. */
export interface TokenOwner {
  /** Name of the principal, without `User:`. */
  readonly name: string;
  /** Milliseconds since the epoch; the client must authenticate anew before. */
  readonly expiresAt?: number;
}

/** Checks a token; throws an Error with the reason of a refusal. */
export type CheckToken = (token: string) => TokenOwner | Promise<TokenOwner>;

/** Accepts unsigned tokens (`alg: none`) and takes `sub` for the name. For tests alone: anyone can write such a token. */
export const unsecuredTokens = (now: () => number): CheckToken => {
  return (token) => {
    const [header, payload, signature] = token.split('.');
    const read = (part: string | undefined): Record<string, unknown> => {
      const value: unknown = JSON.parse(Buffer.from(part ?? '', 'base64url').toString());
      if (typeof value !== 'object' || value === null) throw new Error('the token is no JSON web token');
      return value as Record<string, unknown>;
    };
    const { alg } = read(header);
    if (alg !== 'none' || signature !== '') throw new Error(`an unsecured token has alg none, not ${String(alg)}`);
    const { sub, exp } = read(payload);
    if (typeof sub !== 'string' || typeof exp !== 'number') throw new Error('the token has no sub or no exp');
    if (exp * 1000 <= now()) throw new Error('the token has expired');
    return { name: sub, expiresAt: exp * 1000 };
  };
};

/** Takes the token out of the client's message (RFC 7628, section 3.1). */
export function tokenOf(message: Buffer): string {
  const match =
    /^n,(?:a=[^,]*)?,\x01(?:[A-Za-z]+=[^\x01]*\x01)*?auth=Bearer +([-_~+/.a-zA-Z0-9]+=*)\x01(?:[A-Za-z]+=[^\x01]*\x01)*\x01$/i.exec(
      message.toString(),
    );
  if (!match) throw new Error('Invalid OAUTHBEARER client first message');
  return match[1]!;
}
