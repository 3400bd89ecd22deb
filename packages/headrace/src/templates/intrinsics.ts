import { isMap, type TemplateDocument, type TemplateMap, type TemplateValue, templateError } from './document.ts';

/** `AWS::NoValue`: the property or list element goes away. */
const noValue = Symbol('AWS::NoValue');
type Resolved = TemplateValue | typeof noValue;

export interface ResolverOptions {
  readonly parameters: Readonly<Record<string, string>>;
  readonly region: string;
  readonly accountId: string;
  readonly stackName: string;
  /** What `Ref` gives for a resource. */
  readonly reference: (logicalId: string) => string;
  /** What `Fn::GetAtt` gives; undefined: the attribute is not known. */
  readonly attribute: (logicalId: string, attribute: string) => string | undefined;
}

/** Evaluates intrinsic functions; throws TEMPLATE with the place when something cannot be known here. */
export class Resolver {
  readonly #document: TemplateDocument;
  readonly #options: ResolverOptions;
  readonly #parameters: ReadonlyMap<string, TemplateValue>;
  readonly #deciding = new Set<string>();

  constructor(document: TemplateDocument, options: ResolverOptions) {
    this.#document = document;
    this.#options = options;
    this.#parameters = readParameters(document.parameters, options.parameters);
  }

  /** The value with every intrinsic function evaluated. `place` names it in errors: `Function.Timeout`. */
  resolve(value: TemplateValue, place: string): TemplateValue {
    const resolved = this.#value(value, place);
    if (resolved === noValue) throw templateError(`${place}: AWS::NoValue cannot stand here`);
    return resolved;
  }

  resolveMap(value: TemplateMap, place: string): TemplateMap {
    const resolved = this.resolve(value, place);
    if (!isMap(resolved)) throw templateError(`${place}: must be a map`);
    return resolved;
  }

  /** A condition of the Conditions section. */
  condition(name: string): boolean {
    const expression = this.#document.conditions[name];
    if (expression === undefined) throw templateError(`condition ${name} is not defined`);
    if (this.#deciding.has(name)) throw templateError(`condition ${name} refers to itself`);
    this.#deciding.add(name);
    try {
      return this.#boolean(expression, `Conditions.${name}`);
    } finally {
      this.#deciding.delete(name);
    }
  }

  #value(value: TemplateValue, place: string): Resolved {
    if (Array.isArray(value)) {
      return value.map((each, index) => this.#value(each, `${place}[${index}]`)).filter((each) => each !== noValue);
    }
    if (!isMap(value)) return value;
    const keys = Object.keys(value);
    const [only] = keys;
    if (keys.length === 1 && only !== undefined && (only === 'Ref' || only.startsWith('Fn::'))) {
      return this.#intrinsic(only, value[only]!, place);
    }
    const result: Record<string, TemplateValue> = {};
    for (const [key, each] of Object.entries(value)) {
      const resolved = this.#value(each, `${place}.${key}`);
      if (resolved !== noValue) result[key] = resolved;
    }
    return result;
  }

  #intrinsic(name: string, argument: TemplateValue, place: string): Resolved {
    switch (name) {
      case 'Ref':
        return this.#reference(this.#text(argument, place), place);
      case 'Fn::GetAtt': {
        const parts = typeof argument === 'string' ? argument.split(/\.(.*)/, 2) : argument;
        if (!Array.isArray(parts) || parts.length !== 2) throw templateError(`${place}: Fn::GetAtt takes two names`);
        return this.#attribute(this.#text(parts[0], place), this.#text(parts[1], place), place);
      }
      case 'Fn::Sub': {
        const [template, variables] = Array.isArray(argument) ? argument : [argument, {}];
        const own = this.resolveMap(isMap(variables) ? variables : {}, place);
        return this.#text(template, place).replace(
          /\$\{(!?)([^}]*)\}/g,
          (_whole, literal: string, expression: string) => {
            if (literal) return `\${${expression}}`;
            const key = expression.trim();
            if (Object.hasOwn(own, key)) return scalarText(own[key]!, place);
            const dot = key.indexOf('.');
            if (dot > 0) return this.#attribute(key.slice(0, dot), key.slice(dot + 1), place);
            return scalarText(this.#reference(key, place), place);
          },
        );
      }
      case 'Fn::Join': {
        const [separator, list] = this.#list(argument, place);
        return this.#list(list, place)
          .map((each) => scalarText(each, place))
          .join(this.#text(separator, place));
      }
      case 'Fn::Split': {
        const [separator, text] = this.#list(argument, place);
        return this.#text(text, place).split(this.#text(separator, place));
      }
      case 'Fn::Select': {
        const [index, list] = this.#list(argument, place);
        const values = this.#list(list, place);
        const chosen = values[Number(index)];
        if (chosen === undefined)
          throw templateError(`${place}: Fn::Select ${String(index)} of ${values.length} values`);
        return chosen;
      }
      case 'Fn::If': {
        if (!Array.isArray(argument) || argument.length !== 3)
          throw templateError(`${place}: Fn::If takes three values`);
        return this.#value(this.condition(this.#text(argument[0], place)) ? argument[1]! : argument[2]!, place);
      }
      case 'Fn::FindInMap': {
        const [map, top, second] = this.#list(argument, place).map((each) => scalarText(each, place));
        const row = this.#document.mappings[map ?? ''];
        const column = isMap(row) ? row[top ?? ''] : undefined;
        const found = isMap(column) ? column[second ?? ''] : undefined;
        if (found === undefined) throw templateError(`${place}: Fn::FindInMap finds no ${map}.${top}.${second}`);
        return found;
      }
      case 'Fn::Base64':
        return Buffer.from(this.#text(argument, place)).toString('base64');
      default:
        throw templateError(`${place}: ${name} is not supported`);
    }
  }

  #reference(name: string, place: string): Resolved {
    const pseudo: Record<string, Resolved> = {
      'AWS::AccountId': this.#options.accountId,
      'AWS::Region': this.#options.region,
      'AWS::Partition': 'aws',
      'AWS::StackName': this.#options.stackName,
      'AWS::StackId': `arn:aws:cloudformation:${this.#options.region}:${this.#options.accountId}:stack/${this.#options.stackName}/local`,
      'AWS::URLSuffix': 'amazonaws.com',
      'AWS::NotificationARNs': [],
      'AWS::NoValue': noValue,
    };
    if (Object.hasOwn(pseudo, name)) return pseudo[name]!;
    const parameter = this.#parameters.get(name);
    if (parameter !== undefined) return parameter;
    if (Object.hasOwn(this.#document.resources, name)) return this.#options.reference(name);
    throw templateError(`${place}: Ref ${name} names no parameter and no resource`);
  }

  #attribute(logicalId: string, attribute: string, place: string): string {
    if (!Object.hasOwn(this.#document.resources, logicalId))
      throw templateError(`${place}: Fn::GetAtt ${logicalId}.${attribute} names no resource`);
    const value = this.#options.attribute(logicalId, attribute);
    if (value === undefined)
      throw templateError(`${place}: ${logicalId} has no attribute ${attribute} that is known here`);
    return value;
  }

  #boolean(expression: TemplateValue, place: string): boolean {
    if (!isMap(expression)) throw templateError(`${place}: a condition is a function`);
    const [name = ''] = Object.keys(expression);
    const argument = expression[name]!;
    if (name === 'Condition') return this.condition(this.#text(argument, place));
    if (name === 'Fn::Equals') {
      const [left, right] = this.#list(argument, place);
      return scalarText(left ?? '', place) === scalarText(right ?? '', place);
    }
    const parts = Array.isArray(argument) ? argument : [];
    if (name === 'Fn::Not' && parts.length === 1) return !this.#boolean(parts[0]!, place);
    if (name === 'Fn::And' && parts.length >= 2) return parts.every((part) => this.#boolean(part, place));
    if (name === 'Fn::Or' && parts.length >= 2) return parts.some((part) => this.#boolean(part, place));
    throw templateError(`${place}: ${name} is not a condition`);
  }

  #text(value: TemplateValue | undefined, place: string): string {
    return scalarText(this.#value(value ?? '', place), place);
  }

  #list(value: TemplateValue | undefined, place: string): readonly TemplateValue[] {
    const resolved = this.#value(value ?? [], place);
    if (!Array.isArray(resolved)) throw templateError(`${place}: must be a list`);
    return resolved;
  }
}

function scalarText(value: Resolved, place: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return value.map((each) => scalarText(each, place)).join(',');
  throw templateError(`${place}: must be a text`);
}

function readParameters(
  declared: TemplateMap,
  given: Readonly<Record<string, string>>,
): ReadonlyMap<string, TemplateValue> {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(declared, name)) {
      throw templateError(
        `the template has no parameter ${name}; it has ${Object.keys(declared).join(', ') || 'none'}`,
      );
    }
  }
  const values = new Map<string, TemplateValue>();
  for (const [name, declaration] of Object.entries(declared)) {
    if (!isMap(declaration)) throw templateError(`Parameters.${name}: must be a map`);
    const value = given[name] ?? declaration['Default'];
    if (value === undefined || value === null)
      throw templateError(`parameter ${name} has no default and was not given: --parameter ${name}=VALUE`);
    const text = scalarText(value, `Parameters.${name}`);
    const allowed = declaration['AllowedValues'];
    if (Array.isArray(allowed) && !allowed.some((each) => scalarText(each, name) === text)) {
      throw templateError(`parameter ${name} must be one of ${allowed.join(', ')}; it is "${text}"`);
    }
    const pattern = declaration['AllowedPattern'];
    if (typeof pattern === 'string' && !new RegExp(`^(?:${pattern})$`, 'u').test(text))
      throw templateError(`parameter ${name} must match ${pattern}`);
    const type = declaration['Type'];
    if (type === 'Number' && !Number.isFinite(Number(text))) throw templateError(`parameter ${name} must be a number`);
    const isList = typeof type === 'string' && (type === 'CommaDelimitedList' || type.startsWith('List<'));
    values.set(name, isList ? text.split(',').map((each) => each.trim()) : text);
  }
  return values;
}
