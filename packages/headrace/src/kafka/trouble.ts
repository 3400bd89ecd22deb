import type { HeadraceError } from '../errors.ts';

/** The worst first: what a person must mend before what passes by itself. */
const severity = [
  'KAFKA_FENCED',
  'KAFKA_AUTHENTICATION',
  'KAFKA_TLS',
  'CONFIGURATION',
  'SECRET_UNAVAILABLE',
  'KAFKA_UNSUPPORTED',
  'KAFKA_AUTHORIZATION',
  'KAFKA_CORRUPT_BATCH',
  'KAFKA_TOPIC_MISSING',
];

const rank = (error: HeadraceError): number => {
  const index = severity.indexOf(error.code);
  return index < 0 ? severity.length : index;
};

/** Troubles of several sources as one status: the worst of them, or none. Tells only changes. */
export class TroubleBoard {
  readonly #troubles = new Map<string, HeadraceError>();
  readonly #onStatus: (error: HeadraceError | undefined) => void;
  #told: HeadraceError | undefined;
  /** How often something failed, told or not. */
  errors = 0;

  constructor(onStatus: (error: HeadraceError | undefined) => void) {
    this.#onStatus = onStatus;
  }

  set(source: string, error: HeadraceError | undefined): void {
    if (error === undefined) {
      if (!this.#troubles.delete(source)) return;
    } else {
      this.errors++;
      this.#troubles.set(source, error);
    }
    let worst: HeadraceError | undefined;
    for (const each of this.#troubles.values()) if (worst === undefined || rank(each) < rank(worst)) worst = each;
    if (worst?.code === this.#told?.code && worst?.message === this.#told?.message) return;
    this.#told = worst;
    this.#onStatus(worst);
  }
}
