/** What went wrong; stable, for programs to compare with. */
export type RandomCutForestErrorCode = 'INVALID_OPTION' | 'INVALID_POINT' | 'INVALID_SNAPSHOT' | 'NOT_READY';

/** The only error this package throws on purpose. The forest is unchanged when it is thrown. */
export class RandomCutForestError extends Error {
  override readonly name = 'RandomCutForestError';
  readonly code: RandomCutForestErrorCode;

  constructor(code: RandomCutForestErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
