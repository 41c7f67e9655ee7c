import type { EventStore } from '../../src/event-store/event-store.js';
import type { MessageBus } from '../../src/messaging/message-bus.js';
import type { ReadStore } from '../../src/read-store/read-store.js';

// Adapters that open, accept everything and do nothing. A test of a contract suite that passes with them guards nothing.

const nothing: AsyncIterable<never> = {
  async *[Symbol.asyncIterator]() {
    // No events
  },
};
const doNothing = async (): Promise<void> => {
  // Nothing
};

export const makeNoopEventStore = (): EventStore => ({
  open: doNothing,
  append: async () => [],
  readTails: () => nothing,
  readStream: () => nothing,
  readAll: () => nothing,
  findByCommand: async () => new Map(),
  headPosition: async () => 0,
  count: async () => 0,
  typeVersions: async () => [],
  storeId: async () => '',
  outbox: { confirm: doNothing, keep: doNothing, takeOver: async () => [] },
  snapshots: { read: async () => new Map(), write: doNothing },
  close: doNothing,
});

export const makeNoopReadStore = (): ReadStore => ({
  prepare: doNothing,
  read: async () => new Map(),
  write: async () => 'written',
  list: async () => [],
  checkpoint: async () => null,
  close: doNothing,
});

export const makeNoopMessageBus = (): MessageBus => ({
  declare: doNothing,
  publish: async (messages) => messages.map(() => 'confirmed'),
  reply: doNothing,
  request: async () => Buffer.alloc(0),
  consume: (queue) => ({
    ready: Promise.resolve(),
    isConsuming: () => false,
    health: () => ({ queue, state: 'stopped', dependency: null, inHand: 0 }),
    stop: doNothing,
  }),
  listen: () => ({ stop: doNothing }),
  openQueue: async () => ({ count: 0, next: async () => [], ack: doNothing, rewind: doNothing, close: doNothing }),
  countOf: async () => null,
  health: () => ({ status: 'down', reason: null, blocked: false, unconfirmed: 0, consumers: [] }),
  close: doNothing,
});
