import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import { stopBroker } from './helpers/broker.js';
import { startWantedServices, stopServices } from './helpers/services.js';

// A promise that nobody waits for fails no test by itself: Mocha would let the test pass.
const unhandled = new Map<Promise<unknown>, unknown>();
process.on('unhandledRejection', (reason, promise) => unhandled.set(promise, reason));

const throwUnhandled = (): void => {
  const reasons = [...unhandled.values()];
  unhandled.clear();
  if (reasons.length > 0) throw new Error(`${reasons.length} unhandled rejections`, { cause: reasons[0] });
};

/** What tests have to close: sockets, servers and child processes. Those that are unreferenced do not count. */
const leaks = (): readonly string[] => process.getActiveResourcesInfo().filter((name) => /^(TCP|Process)/.test(name));

const throwLeaks = async (withinMs: number): Promise<void> => {
  const endsAt = performance.now() + withinMs;
  // A closed socket is listed until the other side has answered.
  while (leaks().length > 0 && performance.now() < endsAt) await delay(50);
  if (leaks().length > 0) throw new Error(`Tests left open: ${leaks().join(', ')}`);
};

export const mochaHooks = {
  // An exception outside of promises fails the running test without us.
  afterEach: async (): Promise<void> => {
    // Node reports a rejection only when the microtasks of its turn are done.
    await setImmediate();
    throwUnhandled();
  },
  afterAll: async (): Promise<void> => {
    await stopBroker();
    await throwLeaks(3000);
    throwUnhandled();
  },
};

export const mochaGlobalSetup = startWantedServices;
export const mochaGlobalTeardown = stopServices;
