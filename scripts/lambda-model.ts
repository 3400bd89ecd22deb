// Writes packages/headrace/src/lambda-api/model.json: what Lambda's published API model says of operations (method,
// path, status) and of requests (members, where they travel, ranges). No prose is taken over. Run it after a new
// version of the model; the source is the description that AWS publishes with botocore.
//     node scripts/run.js scripts/lambda-model.ts
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { pythonEnvironment, runCommand } from '@headrace/testing';

const BOTOCORE = 'botocore==1.44.5';

interface Shape {
  type: string;
  members?: Record<string, { shape: string; location?: string; locationName?: string }>;
  member?: { shape: string };
  key?: { shape: string };
  value?: { shape: string };
  required?: string[];
  payload?: string;
  min?: number;
  max?: number;
  pattern?: string;
  enum?: string[];
}

interface Model {
  operations: Record<
    string,
    { http: { method: string; requestUri: string; responseCode?: number }; input?: { shape: string } }
  >;
  shapes: Record<string, Shape>;
}

const print =
  'import gzip, os, botocore; print(gzip.open(os.path.join(os.path.dirname(botocore.__file__), "data/lambda/2015-03-31/service-2.json.gz"), "rt").read())';
const { python } = await pythonEnvironment([BOTOCORE]);
const model: Model = JSON.parse((await runCommand(python, ['-c', print])).stdout);

const shapes: Record<string, unknown> = {};
const take = (name: string): void => {
  if (name in shapes) return;
  const shape = model.shapes[name]!;
  const { type, required, payload, min, max, pattern } = shape;
  const kept: Record<string, unknown> = { type, required, payload, min, max, pattern, enum: shape.enum };
  shapes[name] = kept;
  if (shape.members !== undefined) {
    kept['members'] = Object.fromEntries(
      Object.entries(shape.members).map(([member, { shape, location, locationName }]) => [
        member,
        location === undefined ? { shape } : { shape, in: location, as: locationName },
      ]),
    );
    for (const member of Object.values(shape.members)) take(member.shape);
  }
  for (const part of ['member', 'key', 'value'] as const) {
    if (shape[part] === undefined) continue;
    kept[part] = shape[part].shape;
    take(shape[part].shape);
  }
};
const operations = Object.fromEntries(
  Object.entries(model.operations)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { http, input }]) => {
      if (input !== undefined) take(input.shape);
      return [
        name,
        { method: http.method, path: http.requestUri, status: http.responseCode ?? 200, input: input?.shape },
      ];
    }),
);
const sorted = Object.fromEntries(Object.entries(shapes).sort(([a], [b]) => (a < b ? -1 : 1)));
const path = fileURLToPath(new URL('../packages/headrace/src/lambda-api/model.json', import.meta.url));
writeFileSync(path, `${JSON.stringify({ source: BOTOCORE, operations, shapes: sorted }, null, 1)}\n`);
