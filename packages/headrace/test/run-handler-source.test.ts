import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { findHandler, parseAssignments, parseStart, runGroupId } from '../src/run/handler-source.ts';

describe('headrace run finds the handler that a person means', () => {
  it('by file, by folder and by name; the same path gives the same function and group', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'headrace-run-'));
    t.after(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'orders.mjs'), 'export const handler = () => {};');
    const byFile = findHandler(join(folder, 'orders.mjs'));
    assert.equal(byFile.handler, 'orders.handler');
    assert.equal(byFile.runtime, 'nodejs24.x');
    assert.equal(byFile.codeFolder, folder);
    assert.deepEqual(findHandler(folder), byFile);
    assert.match(byFile.functionName, /^[A-Za-z0-9_-]{1,64}$/);
    assert.equal(runGroupId(byFile, 't'), runGroupId(findHandler(folder), 't'));
    assert.notEqual(runGroupId(byFile, 't'), runGroupId(byFile, 'u'));
    assert.equal(findHandler(folder, { handler: 'other' }).handler, 'orders.other');

    writeFileSync(join(folder, 'lambda_function.py'), 'import json\n\ndef lambda_handler(event, context):\n    pass\n');
    const python = findHandler(folder);
    assert.equal(python.handler, 'lambda_function.lambda_handler');
    assert.match(python.runtime, /^python3/);
  });

  it('says what is wrong', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'headrace-run-'));
    t.after(() => rmSync(folder, { recursive: true }));
    assert.throws(() => findHandler(join(folder, 'nowhere.mjs')), /there is no handler at/);
    assert.throws(() => findHandler(folder), /holds no \.mjs/);
    writeFileSync(join(folder, 'a.txt'), '');
    assert.throws(() => findHandler(join(folder, 'a.txt')), /must be a \.mjs/);
    writeFileSync(join(folder, 'a.mjs'), '');
    writeFileSync(join(folder, 'b.mjs'), '');
    assert.throws(() => findHandler(folder), /2 candidates/);
    assert.throws(() => parseStart('yesterday'), /--from must be/);
    assert.throws(() => parseStart('2999-01-01T00:00:00Z'), /future/);
    assert.throws(() => parseAssignments(['x'], '--env'), /--env takes NAME=VALUE; it is "x"/);
    assert.deepEqual(parseAssignments(['A=b=c'], '--env'), { A: 'b=c' });
  });
});
