import { setTimeout as delay } from 'node:timers/promises';
import { makeProofStore } from '../../../src/compose.js';
import { runProofChild } from '../../../src/proof/child.js';
import type { MakeProofStore } from '../../../src/proof/proof-store.js';

/** It makes the moment long in which a kill shows the defect. */
const beforePublishMs = 6_000;

/** The defect: a relay deletes the outbox entries that it takes over, and publishes then. */
const makeStore: MakeProofStore = (settings) => {
  const store = makeProofStore(settings);
  const { outbox } = store.eventStore;
  const takeOver: typeof outbox.takeOver = async (olderThanMs) => {
    const ranges = await outbox.takeOver(olderThanMs, 1_000);
    await outbox.confirm(ranges);
    if (ranges.length > 0) await delay(beforePublishMs);
    return ranges;
  };
  return { ...store, eventStore: { ...store.eventStore, outbox: { ...outbox, takeOver } } };
};

await runProofChild(process.argv.slice(2), { makeStore });
