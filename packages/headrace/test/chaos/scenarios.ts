import { killBroker } from './kill-broker.ts';
import { killConnections } from './kill-connections.ts';
import { killEngine } from './kill-engine.ts';
import { rebalanceStorm } from './rebalance-storm.ts';
import type { Scenario } from './scenario.ts';
import { stopEngine } from './stop-engine.ts';

/** In the order in which they run: the broker is killed last, because others share it. */
export const scenarios: readonly Scenario[] = [killEngine, stopEngine, killConnections, rebalanceStorm, killBroker];
