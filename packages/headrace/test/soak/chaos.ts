// npm run chaos: the long form of the chaos tests, all scenarios or those that are named, by both group protocols or the
// one that is named.
import { failures, print } from '../chaos/scenario.ts';
import { scenarios } from '../chaos/scenarios.ts';
import { type Protocol, World } from '../chaos/world.ts';

export const description = 'kill -9, SIGSTOP, cut connections, rebalances under load: [SCENARIO…] [classic|KIP-848]';

const protocols: readonly Protocol[] = ['KIP-848', 'classic'];

export async function run(argv: readonly string[]): Promise<number> {
  const unknown = argv.find((word) => ![...protocols, ...scenarios.map(({ name }) => name)].includes(word));
  if (unknown !== undefined) {
    for (const { name, description: what } of scenarios) console.error(`  ${name.padEnd(17)} ${what}`);
    console.error(`There is no scenario or protocol (${protocols.join(', ')}) called ${unknown}.`);
    return 2;
  }
  const named = <T>(all: readonly T[], nameOf: (each: T) => string): readonly T[] => {
    const chosen = all.filter((each) => argv.includes(nameOf(each)));
    return chosen.length > 0 ? chosen : all;
  };
  let isSound = true;
  for (const protocol of named(protocols, (each) => each)) {
    await using world = await World.start(protocol);
    for (const scenario of named(scenarios, ({ name }) => name)) {
      try {
        const report = await scenario.run(world, 'long');
        console.log(print(report));
        for (const failure of failures(report)) {
          console.log(`  FAILED: ${failure}`);
          isSound = false;
        }
      } finally {
        await world.endEngines();
      }
    }
  }
  return isSound ? 0 : 1;
}
