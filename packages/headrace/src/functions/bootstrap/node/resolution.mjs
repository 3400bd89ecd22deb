// Where modules are found beyond Node's own rules: NODE_PATH for ES modules too (Lambda does that since Node 18), and
// the AWS SDK that Lambda's runtime brings along: here the one that Headrace itself depends on.
import { createRequire, registerHooks } from 'node:module';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const provided = /^@(?:aws-sdk|smithy|aws-crypto)\//;

export function installResolution(environment) {
  const places = (environment.NODE_PATH ?? '').split(delimiter).filter((place) => place !== '');
  const parents = places.map((place) => pathToFileURL(join(place, 'headrace-lookup.js')).href);
  let searching = false;

  /** The specifier as a module at `parentURL` would find it; undefined when it would not. */
  function from(parentURL, specifier, context, next) {
    try {
      if (!context.conditions?.includes('require')) return next(specifier, { ...context, parentURL });
      // For require, Node looks from the module that asks, whatever the context says.
      return { url: pathToFileURL(createRequire(parentURL).resolve(specifier)).href, shortCircuit: true };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (error) {
        if (searching || !isMissing(error) || !isBare(specifier)) throw error;
        searching = true;
        try {
          for (const parent of parents) {
            const found = from(parent, specifier, context, next);
            if (found !== undefined) return found;
          }
          if (!provided.test(specifier)) throw error;
          const found = from(import.meta.url, specifier, context, next);
          if (found !== undefined) return found;
        } finally {
          searching = false;
        }
        const name = specifier.split('/').slice(0, 2).join('/');
        error.message += `\nHeadrace does not bring ${name} along (Lambda's runtime does): npm install ${name}`;
        throw error;
      }
    },
  });
}

const isMissing = (error) => error?.code === 'ERR_MODULE_NOT_FOUND' || error?.code === 'MODULE_NOT_FOUND';
const isBare = (specifier) => !/^(?:\.|\/|[a-z]+:)/.test(specifier);
