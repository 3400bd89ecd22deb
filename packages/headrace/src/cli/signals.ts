/**
 * Ctrl-C and SIGTERM as one signal each. A terminal and the processes between it and us (npm, a shell, the launcher)
 * may each deliver the same Ctrl-C, so those that come within a tenth of a second count once; a second one after that
 * is a person who wants out now.
 */
export interface ShutdownSignal {
  /** Aborts at the first signal; the reason is the exit code (130 or 143). */
  readonly signal: AbortSignal;
  /** 130 after Ctrl-C, 143 after SIGTERM, undefined before either. */
  readonly exitCode: number | undefined;
  dispose(): void;
}

const repeatMilliseconds = 100;

/** `onSecond` runs at the second signal, just before the process ends at once. */
export function listenForShutdown(onSecond?: () => void): ShutdownSignal {
  const controller = new AbortController();
  let exitCode: number | undefined;
  let first = 0;
  const receive = (code: number): void => {
    const now = performance.now();
    if (exitCode === undefined) {
      exitCode = code;
      first = now;
      controller.abort(code);
    } else if (now - first > repeatMilliseconds) {
      onSecond?.();
      process.exit(code);
    }
  };
  const interrupt = (): void => receive(130);
  const terminate = (): void => receive(143);
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', terminate);
  process.on('SIGHUP', terminate);
  // The launcher in front of us was killed: nobody will pass signals on any more.
  process.on('disconnect', terminate);
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    dispose() {
      process.off('SIGINT', interrupt);
      process.off('SIGTERM', terminate);
      process.off('SIGHUP', terminate);
      process.off('disconnect', terminate);
    },
  };
}
