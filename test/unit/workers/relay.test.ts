import { expect } from 'chai';
import type { MessageBus, OutgoingMessage } from '../../../src/messaging/message-bus.js';
import { hasCode, WarrenError } from '../../../src/errors.js';
import type { Worker } from '../../../src/workers/worker.js';
import { makeRelay } from '../../../src/workers/relay.js';
import { upTo } from '../../contract/event-store-fixtures.js';
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

describe('relay', () => {
  const started: Worker[] = [];
  const relayOn = (system: ReturnType<typeof setUp>, everyMs = 1): Worker => {
    const relay = makeRelay({ ...system, settings: { everyMs, olderThanMs } });
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

  for (const [what, given] of [
    ['nothing', []],
    ['less at the start', [4, 5, 6]],
    ['less in between', [3, 4, 6]],
    ['less at the end', [3, 4, 5]],
    ['one twice', [3, 4, 4, 5, 6]],
    ['another order', [3, 5, 4, 6]],
  ] as const) {
    it(`does not forget a range of which the store gives ${what}, and goes on with the next`, async () => {
      const system = setUp();
      const broken = { first: 3, last: 6 };
      const recorded = await system.record(...upTo(8).map((number) => created(`u-${number}`)));
      const readAll: typeof system.eventStore.readAll = async function* (options) {
        if (options?.afterPosition !== 2) yield* system.eventStore.readAll(options);
        else for (const position of given) yield* recorded.slice(position - 1, position);
      };
      const takeOver = async (...asked: [number, number]) => {
        const taken = await system.eventStore.outbox.takeOver(...asked);
        return taken.flatMap((range) =>
          range.first === 3 ? [broken] : range.first > 3 && range.first < 7 ? [] : [range],
        );
      };
      const eventStore = { ...system.eventStore, readAll, outbox: { ...system.eventStore.outbox, takeOver } };
      system.clock.at = new Date(system.clock.at.getTime() + olderThanMs);
      const relay = relayOn({ ...system, eventStore });
      await eventually(() => {
        expect(system.lines).to.include('warn: relay failed, comes again');
      });
      await relay.stop();
      const others = system.published.map(Number).filter((position) => position < 3 || position > 6);
      expect(others).to.deep.equal([1, 2, 7, 8]);
      expect((await system.pending()).map(({ first }) => first)).to.deep.equal([3, 4, 5, 6]);
    });
  }

  it('leaves what the broker never confirms to a later round, and publishes what is behind it', async () => {
    const isPoison = (message: OutgoingMessage): boolean => hasPoison && message.properties.headers?.['position'] === 2;
    let hasPoison = true;
    const system = setUp(async (messages) =>
      messages.map((message) => (isPoison(message) ? ('unknown' as const) : ('confirmed' as const))),
    );
    await system.record(...upTo(25).map((number) => created(`u-${number}`)));
    system.clock.at = new Date(system.clock.at.getTime() + olderThanMs);
    const relay = relayOn(system);
    await eventually(() => {
      expect(new Set(system.published)).to.deep.equal(new Set(upTo(25).map(String)));
    });
    expect(system.lines).to.include('warn: relay failed, comes again');
    await relay.stop();
    expect(await system.pending()).to.deep.equal([{ first: 2, last: 2 }]);

    hasPoison = false;
    system.published.length = 0;
    system.clock.at = new Date(system.clock.at.getTime() + olderThanMs);
    const later = relayOn(system);
    await eventually(() => {
      expect(system.published).to.deep.equal(['2']);
    });
    await later.stop();
    expect(await system.pending()).to.deep.equal([]);
  });

  it('tries what a broker that is up refuses again after pauses that double to a minute, and others meanwhile', async () => {
    const system = setUp(async (messages) =>
      messages.map(({ properties }) => (properties.headers?.['position'] === 1 ? 'unknown' : 'confirmed')),
    );
    let nowMs = 0;
    let taken = 0;
    const takeOver = async (...asked: [number, number]) => {
      // All is old at each look.
      system.clock.at = new Date(system.clock.at.getTime() + olderThanMs);
      const ranges = await system.eventStore.outbox.takeOver(...asked);
      if (ranges.some(({ first }) => first === 1)) taken += 1;
      return ranges;
    };
    const eventStore = { ...system.eventStore, outbox: { ...system.eventStore.outbox, takeOver } };
    const patience: typeof system.patience = async (code, attempt) => {
      for (;;) {
        try {
          return await attempt();
        } catch (error) {
          if (!hasCode(error, code)) throw error;
        }
      }
    };
    const tries = () => system.published.filter((position) => position === '1').length;
    await system.record(created('u-1'));
    const relay = makeRelay({
      ...system,
      patience,
      eventStore,
      clockMs: () => nowMs,
      settings: { everyMs: 1, olderThanMs },
    });
    started.push(relay);
    for (const [round, pauseMs] of [1, 2, 4, 8, 16, 32, 60, 60].map((seconds, at) => [at, seconds * 1000] as const)) {
      await eventually(() => {
        expect(tries()).to.equal(3 * (round + 1));
      });
      nowMs += pauseMs - 1;
      const [event] = await system.record(created(`v-${round}`));
      const before = taken;
      await eventually(() => {
        expect(taken).to.be.above(before + 3);
        expect(system.published).to.include(String(event?.position));
      });
      expect(tries()).to.equal(3 * (round + 1));
      nowMs += 1;
    }
    await relay.stop();
    expect(await system.pending()).to.deep.equal([{ first: 1, last: 1 }]);
  });

  it('ends the round at the first range that fails once it is stopped', async () => {
    let stopped: Promise<void> | undefined;
    const system = setUp(async (messages) => {
      stopped ??= relay.stop();
      return messages.map(() => 'unknown' as const);
    });
    await system.record(...upTo(3).map((number) => created(`u-${number}`)));
    system.clock.at = new Date(system.clock.at.getTime() + olderThanMs);
    const relay = relayOn(system);
    await eventually(() => {
      expect(stopped).to.not.equal(undefined);
    });
    await stopped;
    expect(new Set(system.published)).to.deep.equal(new Set(['1']));
    expect(await system.pending()).to.have.length(3);
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

  it('publishes a range of very many events in pages, in position order', async () => {
    const system = setUp();
    const sizes: number[] = [];
    const publish: Publish = async (messages) => {
      sizes.push(messages.length);
      return system.bus.publish(messages);
    };
    const metadata = { commandId: 'c', correlationId: 'c', causationId: 'c' };
    const [type, payload] = ['user.updated', { name: 'Ann' }];
    await system.eventStore.append([
      {
        stream: { aggregateType: 'user', aggregateId: 'u-1' },
        expectedVersion: 0,
        commandDigest: '',
        metadata,
        events: upTo(1200).map(() => ({ type, payload, schemaVersion: 1 })),
      },
    ]);
    system.clock.at = new Date(system.clock.at.getTime() + olderThanMs);
    const relay = relayOn({ ...system, bus: { ...system.bus, publish } });
    await eventually(() => {
      expect(system.published).to.deep.equal(upTo(1200).map(String));
    });
    await relay.stop();
    expect(Math.max(...sizes)).to.equal(500);
    expect(await system.pending()).to.deep.equal([]);
  });

  it('goes on without a pause while there is more than it takes at once', async () => {
    const system = setUp();
    await system.record(...upTo(25).map((number) => created(`u-${number}`)));
    system.clock.at = new Date(system.clock.at.getTime() + olderThanMs);
    const everyMs = 1_500;
    relayOn(system, everyMs);
    await eventually(
      () => {
        expect(system.published).to.deep.equal(upTo(25).map(String));
      },
      { withinMs: 2 * everyMs - 100 },
    );
  });

  it('finishes what it took when it is stopped, and takes no more', async () => {
    let stopped: Promise<void> | undefined;
    const system = setUp(async (messages) => {
      stopped ??= relay.stop();
      return messages.map(() => 'confirmed' as const);
    });
    await system.record(...upTo(25).map((number) => created(`u-${number}`)));
    system.clock.at = new Date(system.clock.at.getTime() + olderThanMs);
    const relay = relayOn(system);
    await eventually(() => {
      expect(stopped).to.not.equal(undefined);
    });
    await stopped;
    expect(system.published).to.deep.equal(upTo(10).map(String));
    expect(await system.pending()).to.have.length(15);
  });

  it('shares the work with other relays: each range is published once', async () => {
    const system = setUp();
    await system.record(...upTo(40).map((number) => created(`u-${number}`)));
    system.clock.at = new Date(system.clock.at.getTime() + olderThanMs);
    const relays = upTo(3).map(() => relayOn(system));
    await eventually(async () => {
      expect(system.published.length).to.be.at.least(40);
    });
    await Promise.all(relays.map((relay) => relay.stop()));
    expect([...system.published].sort((a, b) => Number(a) - Number(b))).to.deep.equal(upTo(40).map(String));
  });
});
