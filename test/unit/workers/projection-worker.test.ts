import { expect } from 'chai';
import { WarrenError } from '../../../src/errors.js';
import type { Domain } from '../../../src/core/domain.js';
import { userDomain } from '../../../src/domains/user/domain.js';
import type { EventStore } from '../../../src/event-store/event-store.js';
import type { MessageBus } from '../../../src/messaging/message-bus.js';
import type { ReadStore } from '../../../src/read-store/read-store.js';
import type { Worker } from '../../../src/workers/worker.js';
import { makeProjectionWorker } from '../../../src/workers/projection-worker.js';
import { eventually } from '../../helpers/eventually.js';
import {
  deliveryOf,
  makeHandOverBus,
  makeMemorySystem,
  makeRecorder,
  outcomeInShort,
} from '../../helpers/memory-system.js';
import { created, trail, updated } from '../../helpers/projection-fixture.js';

const domain: Domain = { ...userDomain, projections: [trail] };

const started: Worker[] = [];

type Change = { readonly eventStore?: Partial<EventStore>; readonly readStore?: Partial<ReadStore> };

/** A worker whose batches the test hands over; it compares itself with the store every `compareEveryMs`. */
const setUp = async (change: Change = {}, compareEveryMs = 60_000) => {
  const system = makeMemorySystem();
  const { bus, handOver, queues } = makeHandOverBus();
  const healed: number[] = [];
  const worker = makeProjectionWorker(trail, domain, {
    ...system,
    bus: bus as MessageBus,
    eventStore: { ...system.eventStore, ...change.eventStore },
    readStore: { ...system.readStore, ...change.readStore },
    settings: { prefetch: 10, batchSize: 10, compareEveryMs },
    telemetry: { ...system.telemetry, eventsHealed: (_, count) => healed.push(count) },
  });
  started.push(worker);
  await worker.ready;
  const storeId = await system.eventStore.storeId();
  const record = makeRecorder(system.eventStore);
  return {
    ...system,
    worker,
    queues,
    healed,
    record,
    deliver: async (events: Awaited<ReturnType<typeof record>>, ofStore = storeId) =>
      (await handOver(events.map((event) => deliveryOf(event, ofStore)))).map(outcomeInShort),
    seen: async (id: string) => (await system.readStore.read('trail', [id])).get(id)?.['seen'],
  };
};

const unavailable = (): Promise<never> => Promise.reject(new WarrenError('STORE_UNAVAILABLE', 'down'));

describe('projection worker', () => {
  // Stopped after a failure too: a timer that is left keeps the run from ending.
  afterEach(() => Promise.all(started.splice(0).map((worker) => worker.stop())));

  it('takes its queue, applies what it brings, and acks', async () => {
    const { queues, record, deliver, seen } = await setUp();
    expect(await deliver(await record(created('u-1'), updated('u-1')))).to.deep.equal(['ack', 'ack']);
    expect(queues).to.deep.equal(['projections.trail']);
    expect(await seen('u-1')).to.deep.equal([1, 2]);
  });

  it('retries the events of an aggregate that cannot be applied, and stops no other', async () => {
    const { record, deliver, seen } = await setUp();
    const events = await record(created('u-1'), created('bad'), created('u-2'), updated('bad'), updated('u-1'));
    const retry = 'retry: cannot be applied';
    expect(await deliver(events)).to.deep.equal(['ack', retry, 'ack', retry, 'ack']);
    expect([await seen('u-1'), await seen('u-2'), await seen('bad')]).to.deep.equal([[1, 5], [3], undefined]);
  });

  it('parks what is of another store, or of no type that the domain has, and applies the rest', async () => {
    const { record, deliver, seen } = await setUp();
    const events = await record(created('u-1'), ['o-1', 'order.paid', {}], ['u-2', 'user.renamed', {}]);
    expect(await deliver(events)).to.deep.equal(['ack', 'park UNKNOWN_EVENT', 'park UNKNOWN_EVENT']);
    const others = events.slice(0, 1).map((event) => ({ ...event, aggregateType: 'order', aggregateId: 'u-4' }));
    expect(await deliver(others)).to.deep.equal(['park UNKNOWN_EVENT']);
    const foreign = await record(created('u-3'));
    expect(await deliver(foreign, 'other')).to.deep.equal(['park FOREIGN_EVENT']);
    expect([await seen('u-1'), await seen('o-1'), await seen('u-2'), await seen('u-3')]).to.deep.equal([
      [1],
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('waits for a database that is down, holding what it has', async () => {
    let fails = 0;
    const system = makeMemorySystem();
    const read: ReadStore['read'] = async (...asked) =>
      (fails += 1) === 1 ? unavailable() : system.readStore.read(...asked);
    const { record, deliver, lines } = await setUp({ readStore: { ...system.readStore, read } });
    expect(await deliver(await record(created('u-1')))).to.deep.equal(['ack']);
    expect(lines).to.deep.equal(['warn: waiting for a dependency', 'info: dependency is back']);
  });

  it('gives back what it holds when the time to drain is over, and retries none of it', async () => {
    let calls = 0;
    const change = { write: async () => ((calls += 1) === 1 ? 'stale' : unavailable()) } as Partial<ReadStore>;
    for (const readStore of [change, { read: unavailable }]) {
      const { record, deliver, drained } = await setUp({ readStore });
      drained.abort();
      const events = await record(created('u-1'), created('u-2'));
      expect(await deliver(events)).to.deep.equal(['giveBack', 'giveBack']);
    }
  });

  it('gives back when the database goes while it tries aggregates one by one', async () => {
    let reads = 0;
    const system = makeMemorySystem();
    const read: ReadStore['read'] = async (...asked) =>
      (reads += 1) === 1 ? system.readStore.read(...asked) : unavailable();
    const { record, deliver, drained } = await setUp({ readStore: { ...system.readStore, read } });
    drained.abort();
    expect(await deliver(await record(created('bad'), created('u-1')))).to.deep.equal(['giveBack', 'giveBack']);
  });

  it('heals what no message brought, without one', async () => {
    const { record, seen, healed } = await setUp({}, 1);
    await record(created('u-1'), updated('u-1'));
    await eventually(async () => {
      expect(await seen('u-1')).to.deep.equal([1, 2]);
    });
    expect(healed).to.deep.equal([2]);
  });

  it('says that a comparison failed and compares again', async () => {
    let fails = 0;
    const system = makeMemorySystem();
    const headPosition = async (): Promise<number> =>
      (fails += 1) === 1 ? unavailable() : system.eventStore.headPosition();
    const { lines } = await setUp({ eventStore: { headPosition } }, 1);
    await eventually(() => {
      expect(fails).to.be.at.least(3);
    });
    expect(lines).to.deep.equal(['warn: comparison with the store failed, comes again']);
  });

  it('does not start on a checkpoint of another store', async () => {
    const checkpoint: ReadStore['checkpoint'] = async () => ({ position: 5, storeId: 'other' });
    const failure = await setUp({ readStore: { checkpoint } }).catch((error: unknown) => error);
    expect(failure).to.include({ code: 'STORE_CHANGED' });
  });

  it('can be stopped while it waits for the database to start', async () => {
    const system = makeMemorySystem();
    const { bus, queues } = makeHandOverBus();
    const settings = { prefetch: 1, batchSize: 1, compareEveryMs: 1 };
    const readStore = { ...system.readStore, prepare: unavailable };
    const worker = makeProjectionWorker(trail, domain, { ...system, bus: bus as MessageBus, readStore, settings });
    worker.ready.catch(() => undefined);
    await worker.stop();
    expect([worker.isReady(), queues]).to.deep.equal([false, []]);
  });
});
