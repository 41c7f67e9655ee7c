import { indexDomains, type DomainIndex } from '../../src/core/domain.js';
import type { RecordedEvent } from '../../src/core/message.js';
import type { EventStore } from '../../src/event-store/event-store.js';
import { makeMemoryEventStore } from '../../src/event-store/memory-event-store.js';
import { makeMemoryMessageBus } from '../../src/messaging/memory-message-bus.js';
import { eventMessage } from '../../src/messaging/event-message.js';
import type { Delivery, MessageBus, Outcome } from '../../src/messaging/message-bus.js';
import { silentMetrics } from '../../src/messaging/messaging-metrics.js';
import { makeMemoryReadStore } from '../../src/read-store/memory-read-store.js';
import type { ReadStore } from '../../src/read-store/read-store.js';
import type { Telemetry } from '../../src/telemetry.js';
import { makePatience, type Patience } from '../../src/workers/patience.js';
import { makeRecordingLog } from './recording-log.js';
import { domains } from '../../src/domains/registry.js';

const count = (): void => undefined;

const silentTelemetry: Telemetry = {
  commandsHandled: count,
  eventsPublished: count,
  eventsRelayed: count,
  eventsApplied: count,
  eventsHealed: count,
  messaging: silentMetrics,
  watchBus: count,
  watchParked: count,
  unknownOutcomeResolved: count,
  ready: count,
  expose: async () => ({ contentType: '', body: '' }),
};

/** The adapters of embedded mode, with a clock that a test moves, and ids that it can guess. */
export const makeMemorySystem = () => {
  const { log, lines } = makeRecordingLog();
  const drained = new AbortController();
  const clock = { at: new Date('2026-01-31T12:00:00.000Z') };
  let last = 0;
  const now = (): Date => clock.at;
  const eventStore: EventStore = makeMemoryEventStore({ now, newId: () => `id-${(last += 1)}` });
  const readStore: ReadStore = makeMemoryReadStore();
  const bus: MessageBus = makeMemoryMessageBus({ retryDelaysMs: [1], now, log });
  const patience: Patience = makePatience({ log, signal: drained.signal });
  const index: DomainIndex = indexDomains(domains);
  return {
    log,
    lines,
    clock,
    now,
    eventStore,
    readStore,
    bus,
    patience,
    drained,
    domains: index,
    telemetry: silentTelemetry,
  };
};

export type Fact = readonly [aggregateId: string, type: string, payload: object];

/** Stores events as workers do, one command an event; gives them as recorded. */
export const makeRecorder = (eventStore: EventStore) => {
  let commands = 0;
  return async (...facts: readonly Fact[]): Promise<readonly RecordedEvent[]> => {
    const recorded: RecordedEvent[] = [];
    for (const [aggregateId, type, payload] of facts) {
      const stream = { aggregateType: type.split('.')[0] ?? '', aggregateId };
      let version = 0;
      for await (const last of eventStore.readStream(stream, { direction: 'backwards', limit: 1 }))
        ({ version } = last);
      const commandId = `c-${(commands += 1)}`;
      const [outcome] = await eventStore.append([
        {
          stream,
          expectedVersion: version,
          commandDigest: '',
          metadata: { commandId, correlationId: commandId, causationId: commandId },
          events: [{ type, payload, schemaVersion: 1 }],
        },
      ]);
      if (outcome?.status !== 'appended') throw new Error(`${type} of ${aggregateId} was not stored`);
      recorded.push(...outcome.events);
    }
    return recorded;
  };
};

/** A delivery of an event, as a queue bound to exchange `events` brings it. */
export const deliveryOf = (event: RecordedEvent, storeId: string, queue = 'q'): Delivery => {
  const { exchange, routingKey, body, properties } = eventMessage(event, storeId);
  return { queue, exchange, routingKey, body, properties, redelivered: false, retries: 0, deliveryCount: 0 };
};

/** The bus as a worker sees it whose batches a test hands over itself, to see the outcomes. */
export const makeHandOverBus = (): {
  readonly bus: Pick<MessageBus, 'consume'>;
  readonly handOver: (batch: readonly Delivery[]) => Promise<readonly Outcome[]>;
  readonly queues: string[];
} => {
  const queues: string[] = [];
  let handle: ((batch: readonly Delivery[]) => Promise<readonly Outcome[]>) | undefined;
  return {
    queues,
    bus: {
      consume: (queue, handler) => {
        queues.push(queue);
        handle = handler;
        const health = () => ({ queue, state: 'consuming', dependency: null, inHand: 0 }) as const;
        return { ready: Promise.resolve(), isConsuming: () => true, health, stop: async () => undefined };
      },
    },
    handOver: async (batch) => {
      if (!handle) throw new Error('nobody consumes');
      return handle(batch);
    },
  };
};

/** `ack`, `retry: <why>`, `hold <dependency>`, `park <reason>`, `giveBack`. */
export const outcomeInShort = (outcome: Outcome): string => {
  switch (outcome.do) {
    case 'ack':
    case 'giveBack':
      return outcome.do;
    case 'hold':
      return `hold ${outcome.dependency}`;
    case 'retry':
      return `retry: ${outcome.cause.message}`;
    case 'park':
      return `park ${outcome.reason}`;
  }
};
