import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { needs } from '@headrace/testing';
import { failures, print } from './scenario.ts';
import { scenarios } from './scenarios.ts';
import { World } from './world.ts';

// The short form; the long one, by both protocols: npm run chaos.
describe('nothing is lost and order is kept, on a real Kafka with real processes', {
  skip: needs('java', 'maven'),
}, () => {
  let world: World;
  before(async () => {
    world = await World.start('KIP-848');
  });
  after(() => world[Symbol.asyncDispose]());

  for (const scenario of scenarios) {
    test(`${scenario.name}: ${scenario.description}`, { timeout: 240_000 }, async () => {
      try {
        const report = await scenario.run(world, 'short');
        console.log(print(report));
        assert.deepEqual(failures(report), [], print(report));
      } finally {
        await world.endEngines();
      }
    });
  }
});
