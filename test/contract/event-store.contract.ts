import { describeAppends } from './event-store-appends.js';
import { describeCommands } from './event-store-commands.js';
import type { OpenedEventStore } from './event-store-fixtures.js';
import { describeOutbox } from './event-store-outbox.js';
import { describeReads } from './event-store-reads.js';
import { describeSnapshots } from './event-store-snapshots.js';
import { describeTypes } from './event-store-types.js';
import { describeWriters } from './event-store-writers.js';

/**
 * The promises of the event store's port, for one adapter.
 * @param open gives each test an empty store
 * @param patienceMs how long a test waits for what takes time, such as the end of a lease
 */
export const eventStoreContract = (name: string, open: () => Promise<OpenedEventStore>, patienceMs = 10_000): void => {
  describe(`event store: ${name}`, () => {
    let opened: OpenedEventStore;
    beforeEach(async () => {
      opened = await open();
    });
    afterEach(() => opened.close());

    describeAppends(() => opened);
    describeCommands(() => opened);
    describeWriters(() => opened);
    describeReads(() => opened);
    describeTypes(() => opened);
    describeOutbox(() => opened, patienceMs);
    describeSnapshots(() => opened);
  });
};
