// Where modules are found beyond Node's own rules: NODE_PATH for ES modules too (Lambda does that since Node 18), and
// the AWS SDK that Lambda's runtime brings along: here the one that Headrace itself depends on.
import { registerHooks } from 'node:module';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const provided = /^@(?:aws-sdk|smithy|aws-crypto)\//;

export function installResolution(environment) {
  const places = (environment.NODE_PATH ?? '').split(delimiter).filter((place) => place !== '');
  const parents = places.map((place) => pathToFileURL(join(place, 'headrace-lookup.js')).href);
  registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (error) {
        if (!isMissing(error) || !isBare(specifier)) throw error;
        for (const parentURL of parents) {
          try {
            // A place is itself a node_modules folder, or holds packages beside the code.
            return next(specifier, { ...context, parentURL });
          } catch (other) {
            if (!isMissing(other)) throw other;
          }
        }
        if (!provided.test(specifier)) throw error;
        try {
          return next(specifier, { ...context, parentURL: import.meta.url });
        } catch (other) {
          if (!isMissing(other)) throw other;
          const name = specifier.split('/').slice(0, 2).join('/');
          error.message += `\nHeadrace does not bring ${name} along (Lambda's runtime does): npm install ${name}`;
          throw error;
        }
      }
    },
  });
}

const isMissing = (error) => error?.code === 'ERR_MODULE_NOT_FOUND' || error?.code === 'MODULE_NOT_FOUND';
const isBare = (specifier) => !/^(?:\.{0,2}\/|[a-z]+:)/.test(specifier) && !specifier.startsWith('.');
