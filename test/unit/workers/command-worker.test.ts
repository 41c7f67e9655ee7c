import { expect } from 'chai';
import { indexDomains } from '../../../src/core/domain.js';
import { WarrenError } from '../../../src/errors.js';
import type { EventStore } from '../../../src/event-store/event-store.js';
import type { BusHealth, Delivery, MessageBus, OutgoingMessage } from '../../../src/messaging/message-bus.js';
import { makeCommandWorker } from '../../../src/workers/command-worker.js';
import { makeHandOverBus, makeMemorySystem, outcomeInShort } from '../../helpers/memory-system.js';
import { tallyDomain } from '../../helpers/tally-domain.js';

const adding = (id: string, aggregateId = 't-1'): Delivery => ({
  queue: 'commands',
  exchange: '',
  routingKey: 'commands',
  body: Buffer.from(JSON.stringify({ id, type: 'tally.add', aggregateId, payload: { amount: 1 } })),
  properties: { replyTo: 'replies' },
  redelivered: false,
  retries: 0,
  deliveryCount: 0,
});

const broken: Delivery = { ...adding('c-0'), body: Buffer.from('{') };

type Parts = {
  readonly store?: Partial<EventStore>;
  readonly publish?: MessageBus['publish'];
  readonly health?: BusHealth;
};

/** A command worker whose batches the test hands over, and what it published and answered. */
const setUp = (change: (store: EventStore) => Parts) => {
  const system = makeMemorySystem();
  const { bus, handOver } = makeHandOverBus();
  const parts = change(system.eventStore);
  const published: number[] = [];
  const replies: string[] = [];
  const worker = makeCommandWorker({
    ...system,
    bus: {
      ...system.bus,
      consume: bus.consume,
      health: () => parts.health ?? system.bus.health(),
      publish: async (messages) => {
        const outcomes = (await parts.publish?.(messages)) ?? messages.map(() => 'confirmed' as const);
        published.push(
          ...messages
            .filter((_, at) => outcomes[at] === 'confirmed')
            .map(({ properties }) => Number(properties.headers?.['position'])),
        );
        return outcomes;
      },
      reply: async (messages: readonly OutgoingMessage[]) => {
        for (const { body } of messages) {
          const { commandId, status } = JSON.parse(body.toString()) as Record<string, string>;
          replies.push(`${commandId ?? ''} ${status ?? ''}`);
        }
      },
    },
    eventStore: { ...system.eventStore, ...parts.store },
    domains: indexDomains([tallyDomain]),
    settings: { maxMessageBytes: 10_000, prefetch: 10, batchSize: 10, cachedAggregates: 10, olderThanMs: 5_000 },
    newId: () => 'made',
  });
  const deliver = async (...batch: readonly Delivery[]) => (await handOver(batch)).map(outcomeInShort);
  const pending = () => system.eventStore.outbox.takeOver(0, 100);
  return { ...system, worker, deliver, published, replies, pending };
};

const brokerDown: BusHealth = { status: 'down', reason: null, blocked: false, unconfirmed: 0, consumers: [] };

const down = (): Promise<never> => Promise.reject(new WarrenError('STORE_UNAVAILABLE', 'down'));

describe('a command worker whose database or broker is down', () => {
  it('holds commands that it could not decide, without waiting, and parks what it can judge', async () => {
    let isDown = true;
    const { deliver, replies, eventStore } = setUp((store) => ({
      store: { append: (commits) => (isDown ? down() : store.append(commits)) },
    }));
    const batch = [broken, adding('c-1'), adding('c-2', 't-2')];
    expect(await deliver(...batch)).to.deep.equal(['park INVALID_JSON', 'hold store', 'hold store']);
    expect(replies).to.have.length(1);
    isDown = false;
    expect(await deliver(...batch.slice(1))).to.deep.equal(['ack', 'ack']);
    expect(replies.slice(1)).to.deep.equal(['c-1 accepted', 'c-2 accepted']);
    expect(await eventStore.headPosition()).to.equal(2);
  });

  it('publishes and answers what was appended before the database went, and holds the rest', async () => {
    let appends = 0;
    const { deliver, published, replies, pending } = setUp((store) => ({
      store: { append: (commits) => ((appends += 1) === 1 ? store.append(commits) : down()) },
    }));
    const batch = [adding('c-1'), adding('c-1'), adding('c-2')];
    // The second waits for the answer of the first, and what is behind it in its stream for the second.
    expect(await deliver(...batch)).to.deep.equal(['ack', 'ack', 'hold store']);
    expect([published, replies, await pending()]).to.deep.equal([[1], ['c-1 accepted', 'c-1 accepted'], []]);
  });

  it('waits for the broker with what it has appended, and neither decides nor appends it again', async () => {
    let tries = 0;
    let appends = 0;
    const { deliver, published, replies, eventStore, pending } = setUp((store) => ({
      store: {
        append: (commits) => {
          appends += 1;
          return store.append(commits);
        },
      },
      health: brokerDown,
      publish: async (messages) =>
        messages.map(() => ((tries += 1) < 8 ? ('unknown' as const) : ('confirmed' as const))),
    }));
    expect(await deliver(adding('c-1'), adding('c-2'))).to.deep.equal(['ack', 'ack']);
    expect([appends, await eventStore.headPosition(), await pending()]).to.deep.equal([1, 2, []]);
    expect([...published].sort()).to.deep.equal([1, 2]);
    expect(replies).to.deep.equal(['c-1 accepted', 'c-2 accepted']);
  });

  it('acks and answers what it has stored though a broker that is up refuses the events, which the outbox has', async () => {
    const isFor = (aggregateId: string, message: OutgoingMessage): boolean =>
      String(message.body).includes(`"${aggregateId}"`);
    const { deliver, published, replies, pending, lines } = setUp(() => ({
      publish: async (messages) =>
        messages.map((message) => (isFor('t-1', message) ? ('unknown' as const) : ('confirmed' as const))),
    }));
    expect(await deliver(adding('c-1'))).to.deep.equal(['ack']);
    expect(await deliver(adding('c-2', 't-2'))).to.deep.equal(['ack']);
    expect([published, replies]).to.deep.equal([[2], ['c-1 accepted', 'c-2 accepted']]);
    expect(await pending()).to.deep.equal([{ first: 1, last: 1 }]);
    expect(lines.filter((line) => line.includes('refuses events'))).to.have.length(1);
  });

  it('hands it back when the time to drain is over; whoever gets it gives the first answer and stores nothing', async () => {
    let isDown = true;
    const { deliver, replies, eventStore, pending, drained } = setUp(() => ({
      publish: async (messages) => messages.map(() => (isDown ? ('unknown' as const) : ('confirmed' as const))),
    }));
    drained.abort();
    expect(await deliver(adding('c-1'), adding('c-2'))).to.deep.equal(['hold broker', 'hold broker']);
    expect([replies, await pending()]).to.deep.equal([[], [{ first: 1, last: 2 }]]);
    isDown = false;
    expect(await deliver(adding('c-1'), adding('c-2'))).to.deep.equal(['ack', 'ack']);
    expect([replies, await eventStore.headPosition()]).to.deep.equal([['c-1 accepted', 'c-2 accepted'], 2]);
  });
});
