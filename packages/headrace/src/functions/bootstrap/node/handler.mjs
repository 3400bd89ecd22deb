// Finds and loads the function that the handler string names.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

class RuntimeError extends Error {
  constructor(name, message, stack) {
    super(message);
    this.name = name;
    if (stack !== undefined) this.stack = stack;
  }
}

export async function loadHandler(root, handler, legacy) {
  if (handler.includes('..')) {
    throw new RuntimeError(
      'Runtime.MalformedHandlerName',
      `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const slash = handler.lastIndexOf('/');
  const folder = handler.slice(0, slash + 1);
  const match = /^([^.]*)\.(.*)$/.exec(handler.slice(slash + 1));
  if (match === null) throw new RuntimeError('Runtime.MalformedHandlerName', 'Bad handler');
  const [, file, property] = match;
  const namespace = await loadModule(root, folder, file, legacy);
  let found = at(namespace, property);
  if (found === undefined && namespace?.default !== undefined) found = at(namespace.default, property);
  if (found === undefined || found === null) {
    throw new RuntimeError('Runtime.HandlerNotFound', `${handler} is undefined or not exported`);
  }
  if (typeof found !== 'function') throw new RuntimeError('Runtime.HandlerNotFound', `${handler} is not a function`);
  return found;
}

const at = (object, path) => path.split('.').reduce((value, key) => value?.[key], object);

async function loadModule(root, folder, file, legacy) {
  const path = resolve(root, folder, file);
  const require = createRequire(join(resolve(root), 'index.js'));
  const load = async (file, byRequire) => {
    try {
      return byRequire ? require(file) : await import(pathToFileURL(file).href);
    } catch (error) {
      throw explain(error);
    }
  };
  if (existsSync(path) && !isFolder(path)) return await load(path, legacy);
  const script = `${path}.js`;
  if (existsSync(script)) return await load(script, legacy && !isModulePackage(dirname(script)));
  if (existsSync(`${path}.mjs`)) return await load(`${path}.mjs`, false);
  if (existsSync(`${path}.cjs`)) return await load(`${path}.cjs`, legacy);
  // A convenience of Headrace: TypeScript as it is, types stripped by Node.
  for (const extension of ['.ts', '.mts', '.cts']) {
    if (existsSync(path + extension)) return await load(path + extension, false);
  }
  let resolved;
  try {
    // A package in a layer, or a folder with an index.
    resolved = require.resolve(`./${folder}${file}`);
  } catch {
    try {
      resolved = require.resolve(`${folder}${file}`, { paths: [root, resolve(root, folder)] });
    } catch (error) {
      throw explain(error);
    }
  }
  return await load(resolved, legacy);
}

function isFolder(path) {
  try {
    readFileSync(path, { length: 0 });
    return false;
  } catch (error) {
    return error.code === 'EISDIR';
  }
}

/** Whether the nearest package.json says "type": "module". */
function isModulePackage(folder) {
  for (let at = folder; ; at = dirname(at)) {
    if (at.endsWith('node_modules')) return false;
    try {
      return JSON.parse(readFileSync(join(at, 'package.json'), 'utf8')).type === 'module';
    } catch (error) {
      if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') return false;
    }
    if (at === dirname(at)) return false;
  }
}

/** Errors at load in Lambda's words; a module of ECMAScript that is missing stays as it is, as on Lambda. */
function explain(error) {
  if (error instanceof SyntaxError) {
    return new RuntimeError('Runtime.UserCodeSyntaxError', String(error), error.stack);
  }
  if (error?.code === 'MODULE_NOT_FOUND')
    return new RuntimeError('Runtime.ImportModuleError', String(error), error.stack);
  return error;
}
