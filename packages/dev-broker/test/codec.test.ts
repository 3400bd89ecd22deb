import assert from 'node:assert/strict';
import test from 'node:test';
import { apis } from '../src/protocol/messages/index.ts';
import { ProtocolError, Reader } from '../src/protocol/reader.ts';
import type { Api, FieldSchema } from '../src/protocol/schema.ts';
import { Writer } from '../src/protocol/writer.ts';

/** A value for every field, none of them the default, so that a lost or misplaced one shows. */
function sample(fields: readonly FieldSchema[], version: number, seed: number): Record<string, unknown> {
  const within = (range: string): boolean => {
    const [low, high] = range.endsWith('+')
      ? [range.slice(0, -1), '99']
      : range.includes('-')
        ? range.split('-')
        : [range, range];
    return version >= Number(low) && version <= Number(high);
  };
  const value = (field: FieldSchema, index: number): unknown => {
    switch (field.type.replace('[]', '')) {
      case 'struct':
        return sample(field.fields!, version, index + 1);
      case 'bool':
        return true;
      case 'string':
        return `text ${index} ü`;
      case 'uuid':
        return Buffer.alloc(16, index + 1).toString('base64url');
      case 'bytes':
      case 'records':
        return Buffer.alloc(3 + index, index);
      case 'int64':
        return 2 ** 40 + index;
      case 'float64':
        return index + 0.5;
      default:
        return index + 3;
    }
  };
  return Object.fromEntries(
    fields
      .filter((field) => within(field.versions))
      .map((field, index) => [
        field.name,
        field.type.startsWith('[]')
          ? [value(field, index + seed), value(field, index + seed + 1)]
          : value(field, index + seed),
      ]),
  );
}

/** Fields that the version does not have are filled with defaults when read: only what was written counts. */
function assertHolds(actual: unknown, expected: unknown, path: string): void {
  if (Buffer.isBuffer(expected)) assert.deepEqual(actual, expected, path);
  else if (Array.isArray(expected)) {
    assert.equal((actual as unknown[]).length, expected.length, path);
    for (const [index, item] of expected.entries())
      assertHolds((actual as unknown[])[index], item, `${path}[${index}]`);
  } else if (typeof expected === 'object' && expected !== null) {
    for (const [name, item] of Object.entries(expected)) {
      assertHolds((actual as Record<string, unknown>)[name], item, `${path}.${name}`);
    }
  } else assert.equal(actual, expected, path);
}

test('every message of every version is read back as it was written', () => {
  for (const api of apis as readonly unknown[] as readonly Api<unknown, unknown>[]) {
    const { name, request, response, versions } = api.schema;
    for (let version = versions[0]; version <= versions[1]; version++) {
      const wanted = sample(request, version, 1);
      const writer = new Writer();
      api.writeRequest(writer, version, wanted);
      const reader = new Reader(writer.toBuffer());
      assertHolds(api.readRequest(reader, version), wanted, `${name} request ${version}`);
      assert.equal(reader.remaining, 0, `${name} request ${version}`);

      const answer = sample(response, version, 2);
      const answerWriter = new Writer();
      api.writeResponse(answerWriter, version, answer);
      const answerReader = new Reader(answerWriter.toBuffer());
      assertHolds(api.readResponse(answerReader, version), answer, `${name} response ${version}`);
      assert.equal(answerReader.remaining, 0, `${name} response ${version}`);
    }
  }
});

test('a message that is cut anywhere is refused, never read beyond its end', () => {
  for (const api of apis as readonly unknown[] as readonly Api<unknown, unknown>[]) {
    const version = api.schema.versions[1];
    const writer = new Writer();
    api.writeRequest(writer, version, sample(api.schema.request, version, 1));
    const whole = writer.toBuffer();
    for (let size = 0; size < whole.length; size++) {
      assert.throws(() => api.readRequest(new Reader(whole.subarray(0, size)), version), ProtocolError, api.name);
    }
  }
});

test('large byte strings are passed on as they lie, without a copy', () => {
  const writer = new Writer();
  const stored = Buffer.alloc(5000, 7);
  writer.int32(1);
  writer.byteString([stored, stored.subarray(0, 2000)], true);
  writer.int32(2);
  const parts = writer.parts();
  assert.equal(parts.length, 4);
  assert.equal(parts[1], stored);
  assert.equal(Buffer.concat(parts).length, writer.length);
});
