import { makeMemoryEventStore } from '../../src/event-store/memory-event-store.js';
import { describeAppends } from './event-store-appends.js';
import { describeCommands } from './event-store-commands.js';
import type { OpenedEventStore, StoreOf } from './event-store-fixtures.js';
import { describeOutbox } from './event-store-outbox.js';
import { describeReads } from './event-store-reads.js';
import { describeSnapshots } from './event-store-snapshots.js';
import { describeTypes } from './event-store-types.js';
import { describeWriters } from './event-store-writers.js';
import {
  wrongAppends,
  wrongCommands,
  wrongFacts,
  wrongOutboxes,
  wrongReads,
  wrongSnapshots,
  type Breaking,
} from './wrong-event-stores.js';

// What `wrong-adapters.test.ts` runs in a Mocha of its own: each wrong event store, and one that breaks nothing, with
// the parts of the suite that are about what it breaks, up to the first test that fails.

let lastId = 0;
const newId = (): string => `id-${(lastId += 1)}`;
/** Leases end in a hundredth of the time; only the outbox lets time pass. */
const startedAt = Date.now();
const hurriedNow = (): Date => new Date(startedAt + (Date.now() - startedAt) * 100);

type Part = (opened: StoreOf) => void;

const suitesOf = (wrong: Readonly<Record<string, Breaking>>, parts: readonly Part[], now: () => Date): void => {
  for (const [title, breaking] of Object.entries<Breaking>({ nothing: () => ({}), ...wrong })) {
    describe(`${title}:`, () => {
      let opened: OpenedEventStore;
      let isCaught = false;
      beforeEach(async () => {
        // A hook that fails ends the suite around it: Mocha's `bail` would end those of the other stores too.
        if (isCaught) throw new Error('Caught already');
        const right = makeMemoryEventStore({ now, newId });
        await right.open();
        const adapter = { ...right, ...breaking(right) };
        opened = { adapter, peer: adapter, close: () => adapter.close() };
      });
      afterEach(function () {
        isCaught ||= this.currentTest?.state === 'failed';
      });
      for (const part of parts) part(() => opened);
    });
  }
};

const describeOutboxHurriedly: Part = (opened) => {
  describeOutbox(opened, 100);
};

const now = (): Date => new Date();
suitesOf(wrongAppends, [describeAppends, describeWriters], now);
suitesOf(wrongCommands, [describeCommands], now);
suitesOf(wrongReads, [describeReads, describeTypes], now);
suitesOf(wrongFacts, [describeWriters], now);
suitesOf(wrongOutboxes, [describeOutboxHurriedly], hurriedNow);
suitesOf(wrongSnapshots, [describeSnapshots], now);
