import { setTimeout as delay } from 'node:timers/promises';
import { fail, openConnections, openPublisher, reportReady } from './connections.js';
import { collectionsOf, openStore } from './store.js';
import { declareTopology } from './topology.js';
import { publishEvents } from './wire.js';

/** The floor's relay: publishes what a dead command worker left; idle in a run without failures. */

const { db } = await openConnections();
const publisher = await openPublisher();
await declareTopology(publisher);
const storeId = await openStore(db);
const { events, outbox } = collectionsOf(db);

const publishLeftovers = async (): Promise<void> => {
  const old = { at: { $lt: new Date(Date.now() - 5000) } };
  for (const range of await outbox.find(old).sort({ _id: 1 }).limit(10).toArray()) {
    const batch = await events
      .find({ _id: { $gte: range._id, $lte: range.last } })
      .sort({ _id: 1 })
      .toArray();
    await publishEvents(publisher, batch, storeId);
    await outbox.deleteOne({ _id: range._id });
  }
};

reportReady('relay');
for (;;) {
  await publishLeftovers().catch(fail);
  await delay(1000);
}
