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

  it('retries the first event of an aggregate that cannot be applied; its later ones wait, others go on', async () => {
    const { record, deliver, seen } = await setUp();
    const events = await record(created('u-1'), created('bad'), created('u-2'), updated('bad'), updated('u-1'));
    const retry = 'retry: cannot be applied';
    expect(await deliver(events)).to.deep.equal(['ack', retry, 'ack', 'ack', 'ack']);
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

  it('holds what it has while the database is down, and does it when it is back', async () => {
    let fails = 0;
    const system = makeMemorySystem();
    const read: ReadStore['read'] = async (...asked) =>
      (fails += 1) === 1 ? unavailable() : system.readStore.read(...asked);
    const { record, deliver, lines } = await setUp({ readStore: { ...system.readStore, read } });
    const events = await record(created('u-1'), ['u-2', 'user.renamed', {}]);
    expect(await deliver(events)).to.deep.equal(['hold store', 'hold store']);
    expect(await deliver(events)).to.deep.equal(['ack', 'park UNKNOWN_EVENT']);
    expect(lines).to.deep.equal([]);
  });

  it('holds all, and blames no aggregate, where the database goes while it tries them one by one', async () => {
    let writes = 0;
    const write = (): Promise<never> => ((writes += 1) === 1 ? Promise.reject(new Error('too large')) : unavailable());
    const { record, deliver } = await setUp({ readStore: { write } });
    const events = await record(created('u-1'), updated('u-1'), created('u-2'));
    expect(await deliver(events)).to.deep.equal(['hold store', 'hold store', 'hold store']);
  });

  it('holds, and says once a minute, what needs a person', async () => {
    for (const code of ['STORE_UNUSABLE', 'STORE_CHANGED', 'LOG_BROKEN'] as const) {
      const read = (): Promise<never> => Promise.reject(new WarrenError(code, 'somebody must act'));
      const { record, deliver, lines, clock } = await setUp({ readStore: { read } });
      const events = await record(created('u-1'));
      const saying = 'error: messages are held until somebody acts';
      for (const [ms, said] of [
        [0, 1],
        [59_999, 1],
        [1, 2],
      ] as const) {
        clock.at = new Date(clock.at.getTime() + ms);
        expect(await deliver(events)).to.deep.equal(['hold store']);
        expect(lines, `${code} after ${ms} ms`).to.deep.equal(Array.from({ length: said }, () => saying));
      }
    }
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
