import { isMap, type TemplateMap, type TemplateValue, templateError } from './document.ts';

/** Typed reading of resolved properties; CloudFormation coerces freely (`Timeout: "30"`), and so does this. */
export class Properties {
  readonly #values: TemplateMap;
  readonly #place: string;
  readonly #read = new Set<string>();

  constructor(values: TemplateMap, place: string) {
    this.#values = values;
    this.#place = place;
  }

  string(name: string): string | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (typeof value === 'object') throw this.#wrong(name, 'a text');
    return String(value);
  }

  requiredString(name: string): string {
    const value = this.string(name);
    if (value === undefined) throw templateError(`${this.#place}.${name} is missing`);
    return value;
  }

  integer(name: string): number | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isInteger(number)) throw this.#wrong(name, 'a whole number');
    return number;
  }

  number(name: string): number | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isFinite(number)) throw this.#wrong(name, 'a number');
    return number;
  }

  boolean(name: string): boolean | undefined {
    const value = this.#get(name);
    if (value === undefined || typeof value === 'boolean') return value;
    if (value === 'true' || value === 'false') return value === 'true';
    throw this.#wrong(name, 'true or false');
  }

  map(name: string): TemplateMap | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (!isMap(value)) throw this.#wrong(name, 'a map');
    return value;
  }

  /** A map as properties of its own, with its own place in messages. */
  nested(name: string): Properties | undefined {
    const value = this.map(name);
    return value === undefined ? undefined : new Properties(value, `${this.#place}.${name}`);
  }

  list(name: string): readonly TemplateValue[] | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) throw this.#wrong(name, 'a list');
    return value;
  }

  strings(name: string): string[] | undefined {
    return this.list(name)?.map((each) => {
      if (typeof each === 'object') throw this.#wrong(name, 'a list of texts');
      return String(each);
    });
  }

  /** A map of texts: environment variables. Numbers in decimal, booleans in lower case. */
  texts(name: string): Record<string, string> | undefined {
    const value = this.map(name);
    if (value === undefined) return undefined;
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => {
        if (typeof each === 'object') throw this.#wrong(`${name}.${key}`, 'a text');
        return [key, String(each)];
      }),
    );
  }

  /** Properties that say nothing here: roles, tags, log retention. */
  ignore(...names: readonly string[]): this {
    for (const name of names) this.#read.add(name);
    return this;
  }

  /** Refuses what nobody read, by name: half a template would be worse than none. */
  finish(): void {
    for (const name of Object.keys(this.#values)) {
      if (!this.#read.has(name)) throw templateError(`${this.#place}.${name} is not supported yet`);
    }
  }

  #get(name: string): TemplateValue | undefined {
    this.#read.add(name);
    return this.#values[name] ?? undefined;
  }

  #wrong(name: string, what: string): Error {
    return templateError(`${this.#place}.${name} must be ${what}; it is ${JSON.stringify(this.#values[name])}`);
  }
}
