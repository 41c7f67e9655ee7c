import { expect } from 'chai';
import { z } from 'zod';
import { indexDomains } from '../../../src/core/domain.js';
import { WarrenError } from '../../../src/errors.js';
import type { EventStore } from '../../../src/event-store/event-store.js';
import type { Delivery } from '../../../src/messaging/message-bus.js';
import { makeCommandWorker } from '../../../src/workers/command-worker.js';
import { makeHandOverBus, makeMemorySystem, outcomeInShort } from '../../helpers/memory-system.js';
import { tallyDomain } from '../../helpers/tally-domain.js';

const domain = {
  ...tallyDomain,
  decider: { ...tallyDomain.decider, snapshots: { every: 1, snapshotVersion: 1, state: z.int() } },
};

const adding = (id: string): Delivery => ({
  queue: 'commands',
  exchange: '',
  routingKey: 'commands',
  body: Buffer.from(JSON.stringify({ id, type: 'tally.add', aggregateId: 't-1', payload: { amount: 1 } })),
  properties: {},
  redelivered: false,
  retries: 0,
  deliveryCount: 0,
});

/** A command worker whose batches the test hands over, on a store of which `change` replaces a part. */
const setUp = (change: (store: EventStore) => Partial<EventStore>) => {
  const system = makeMemorySystem();
  const { bus, handOver } = makeHandOverBus();
  const worker = makeCommandWorker({
    ...system,
    bus: {
      ...system.bus,
      consume: bus.consume,
      publish: async (all) => all.map(() => 'confirmed'),
    },
    eventStore: { ...system.eventStore, ...change(system.eventStore) },
    domains: indexDomains([domain]),
    settings: { maxMessageBytes: 10_000, prefetch: 10, batchSize: 10, cachedAggregates: 10, olderThanMs: 5_000 },
    newId: () => 'made',
  });
  const add = async (...ids: readonly string[]) => (await handOver(ids.map(adding))).map(outcomeInShort);
  return { ...system, worker, add };
};

describe('snapshots of a command worker', () => {
  it('are no part of handling a batch, and are written before the worker has stopped', async () => {
    const writes: string[] = [];
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const { worker, add } = setUp((store) => ({
      snapshots: {
        ...store.snapshots,
        write: async ({ version, state }) => {
          await ended;
          writes.push(`${String(state)}@${version}`);
        },
      },
    }));
    // No write ends before these are answered.
    expect(await add('c-1')).to.deep.equal(['ack']);
    expect(await add('c-2', 'c-3')).to.deep.equal(['ack', 'ack']);
    let isStopped = false;
    const stopped = worker.stop().then(() => {
      isStopped = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect({ isStopped, writes }).to.deep.equal({ isStopped: false, writes: [] });
    end();
    await stopped;
    expect(writes.at(-1)).to.equal('3@3');
  });

  it('fail no command when they can be neither read nor written', async () => {
    const fail = () => Promise.reject(new WarrenError('STORE_UNAVAILABLE', 'no snapshots'));
    const { worker, add, lines, eventStore } = setUp(() => ({ snapshots: { read: fail, write: fail } }));
    expect(await add('c-1', 'c-2')).to.deep.equal(['ack', 'ack']);
    expect(await add('c-3')).to.deep.equal(['ack']);
    await worker.stop();
    expect(await eventStore.headPosition()).to.equal(3);
    expect(lines).to.deep.equal([
      'warn: cannot read snapshots; streams are read from their start',
      'warn: cannot write snapshots; long streams load slower',
    ]);
  });

  it('and a read of events that breaks off cost a load from its beginning, not a command', async () => {
    let reads = 0;
    const readingFrom = (store: EventStore): EventStore['readTails'] =>
      async function* (tails) {
        reads += 1;
        for await (const [first, ...rest] of store.readTails(tails)) {
          if (first) yield [first];
          if (reads < 3) throw new WarrenError('STORE_UNAVAILABLE', 'cut');
          yield rest;
        }
      };
    const { worker, add, eventStore } = setUp((store) => ({ readTails: readingFrom(store) }));
    const metadata = { commandId: 'c-0', correlationId: 'c-0', causationId: 'c-0' };
    const event = { type: 'tally.added', payload: { amount: 1 }, schemaVersion: 2 };
    const stream = { aggregateType: 'tally', aggregateId: 't-1' };
    await eventStore.append([{ stream, expectedVersion: 0, commandDigest: '', metadata, events: [event, event] }]);
    expect(await add('c-1')).to.deep.equal(['hold store']);
    expect(await add('c-1')).to.deep.equal(['hold store']);
    expect(await add('c-1')).to.deep.equal(['ack']);
    await worker.stop();
    expect(reads).to.equal(3);
    expect((await eventStore.snapshots.read([stream])).get('tally/t-1')).to.include({ version: 3, state: 3 });
  });
});
