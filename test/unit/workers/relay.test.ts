import { expect } from 'chai';
import type { MessageBus, OutgoingMessage } from '../../../src/messaging/message-bus.js';
import { WarrenError } from '../../../src/errors.js';
import { makeEventPublisher } from '../../../src/workers/event-publisher.js';
import type { Worker } from '../../../src/workers/worker.js';
import { makeRelay } from '../../../src/workers/relay.js';
import { eventually } from '../../helpers/eventually.js';
import { makeMemorySystem, makeRecorder } from '../../helpers/memory-system.js';
import { created } from '../../helpers/projection-fixture.js';

const olderThanMs = 5_000;

type Publish = MessageBus['publish'];

const setUp = (publish?: Publish) => {
  const system = makeMemorySystem();
  const published: string[] = [];
  const keep: Publish = async (messages: readonly OutgoingMessage[]) => {
    published.push(...messages.map(({ properties }) => properties.headers?.['position']).map(String));
    return publish ? publish(messages) : messages.map(() => 'confirmed' as const);
  };
  const bus: MessageBus = { ...system.bus, publish: keep };
  const pending = async () => {
    system.clock.at = new Date(system.clock.at.getTime() + olderThanMs);
    return system.eventStore.outbox.takeOver(0, 100);
  };
  return { ...system, bus, published, pending, record: makeRecorder(system.eventStore) };
};

describe('publisher of events', () => {
  it('publishes the events of a batch, then forgets them and no others', async () => {
    const system = setUp();
    const events = await system.record(created('u-1'), created('u-2'), created('u-3'));
    const publisher = makeEventPublisher(system);
    const done = events.filter(({ position }) => position !== 2);
    await publisher.publish(done);
    expect(system.published).to.deep.equal(['1', '3']);
    expect(await system.pending()).to.have.length(3);
    await publisher.forget(done);
    expect(await system.pending()).to.deep.equal([{ first: 2, last: 2 }]);
  });

  it('publishes again only what was not confirmed, until all is', async () => {
    const outcomes = [['confirmed', 'unknown', 'confirmed'], ['unknown'], ['confirmed']] as const;
    let calls = 0;
    const system = setUp(async () => outcomes[calls++] ?? []);
    await makeEventPublisher(system).publish(await system.record(created('u-1'), created('u-2'), created('u-3')));
    expect(system.published).to.deep.equal(['1', '2', '3', '2', '2']);
  });

  it('says that the broker is unavailable when the time to drain is over', async () => {
    const system = setUp(async (messages) => messages.map(() => 'unknown' as const));
    system.drained.abort();
    const failure = await makeEventPublisher(system)
      .publish(await system.record(created('u-1')))
      .catch((error: unknown) => error);
    expect(failure).to.include({ code: 'BROKER_UNAVAILABLE' });
  });
});

describe('relay', () => {
  const started: Worker[] = [];
  const relayOn = (system: ReturnType<typeof setUp>): Worker => {
    const relay = makeRelay({ ...system, settings: { everyMs: 1, olderThanMs } });
    started.push(relay);
    return relay;
  };
  // Stopped after a failure too: a timer that is left keeps the run from ending.
  afterEach(() => Promise.all(started.splice(0).map((relay) => relay.stop())));

  it('publishes what an interrupted worker left, and forgets it', async () => {
    const system = setUp();
    await system.record(created('u-1'), created('u-2'));
    system.clock.at = new Date(system.clock.at.getTime() + olderThanMs);
    const relay = relayOn(system);
    await relay.ready;
    expect(relay.isReady()).to.equal(true);
    await eventually(() => {
      expect(system.published).to.deep.equal(['1', '2']);
    });
    await relay.stop();
    expect(await system.pending()).to.deep.equal([]);
  });

  it('leaves young ranges to the worker that wrote them', async () => {
    const system = setUp();
    await system.record(created('u-1'));
    system.clock.at = new Date(system.clock.at.getTime() + olderThanMs - 1);
    await system.record(created('u-2'));
    const relay = relayOn(system);
    await relay.ready;
    system.clock.at = new Date(system.clock.at.getTime() + 1);
    await eventually(() => {
      expect(system.published).to.deep.equal(['1']);
    });
    await relay.stop();
    expect(system.published).to.deep.equal(['1']);
  });

  it('keeps in the outbox what the broker did not confirm', async () => {
    const system = setUp(async (messages) => messages.map(() => 'unknown' as const));
    await system.record(created('u-1'));
    system.clock.at = new Date(system.clock.at.getTime() + olderThanMs);
    system.drained.abort();
    const relay = relayOn(system);
    await eventually(() => {
      expect(system.lines).to.include('warn: relay failed, comes again');
    });
    await relay.stop();
    expect(await system.pending()).to.deep.equal([{ first: 1, last: 1 }]);
  });

  it('is not ready while the database is down, and is when it is back', async () => {
    const system = setUp();
    let isDown = true;
    const takeOver = async (...asked: [number, number]) => {
      if (isDown) throw new WarrenError('STORE_UNAVAILABLE', 'down');
      return system.eventStore.outbox.takeOver(...asked);
    };
    const eventStore = { ...system.eventStore, outbox: { ...system.eventStore.outbox, takeOver } };
    const relay = relayOn({ ...system, eventStore });
    await eventually(() => {
      expect(system.lines).to.include('warn: relay failed, comes again');
    });
    expect(relay.isReady()).to.equal(false);
    isDown = false;
    await relay.ready;
    expect(relay.isReady()).to.equal(true);
    isDown = true;
    await eventually(() => {
      expect(relay.isReady()).to.equal(false);
    });
  });
});
