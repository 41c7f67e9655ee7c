import { eventStoreContract } from './event-store.contract.js';
import { messageBusContract } from './message-bus.contract.js';
import { makeNoopEventStore, makeNoopMessageBus, makeNoopReadStore } from './noop.js';
import { readStoreContract } from './read-store.contract.js';

// What `noop.test.ts` runs in a Mocha of its own. Nothing will ever come, so nothing is waited for.
const patienceMs = 1;

const opened = <T extends { close(): Promise<void> }>(adapter: T) => ({
  adapter,
  peer: adapter,
  close: () => adapter.close(),
});

eventStoreContract('noop', async () => opened(makeNoopEventStore()), patienceMs);
readStoreContract('noop', async () => opened(makeNoopReadStore()));
messageBusContract('noop', async () => opened(makeNoopMessageBus()), patienceMs);
