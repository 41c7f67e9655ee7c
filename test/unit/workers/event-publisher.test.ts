import { expect } from 'chai';
import { setImmediate as loopDrained } from 'node:timers/promises';
import { WarrenError } from '../../../src/errors.js';
import type { PositionRange } from '../../../src/event-store/event-store.js';
import type { BusHealth, MessageBus } from '../../../src/messaging/message-bus.js';
import { makeEventPublisher } from '../../../src/workers/event-publisher.js';
import { eventually } from '../../helpers/eventually.js';
import { makeMemorySystem, makeRecorder } from '../../helpers/memory-system.js';
import { created } from '../../helpers/projection-fixture.js';

type Publish = MessageBus['publish'];

const gates: { open(): void }[] = [];

/** Something that a test lets go on; after a failed test too, or the run would not end. */
const makeGate = () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const gate = {
    opened,
    open: () => {
      open();
    },
  };
  gates.push(gate);
  return gate;
};

const confirmAll: Publish = async (messages) => messages.map(() => 'confirmed' as const);

const up: BusHealth = { status: 'up', reason: null, blocked: false, unconfirmed: 0, consumers: [] };

const setUp = (publish: Publish = confirmAll, keep = async (): Promise<void> => undefined, olderThanMs = 9) => {
  const system = makeMemorySystem();
  const published: number[] = [];
  const state = { health: up };
  const kept: (readonly PositionRange[])[] = [];
  const bus = {
    health: () => state.health,
    publish: (async (messages) => {
      published.push(...messages.map(({ properties }) => Number(properties.headers?.['position'])));
      return publish(messages);
    }) satisfies Publish,
  };
  const outbox = {
    ...system.eventStore.outbox,
    keep: async (ranges: readonly PositionRange[]) => {
      kept.push(ranges);
      await keep();
    },
  };
  const eventStore = { ...system.eventStore, outbox };
  return {
    ...system,
    published,
    state,
    kept,
    pending: () => outbox.takeOver(0, 100),
    record: makeRecorder(system.eventStore),
    publisher: makeEventPublisher({ ...system, eventStore, bus, olderThanMs }),
  };
};

describe('publisher of events', () => {
  afterEach(() => {
    for (const gate of gates.splice(0)) gate.open();
  });

  it('publishes the events of a batch, then forgets them and no others', async () => {
    const { record, publisher, pending, published, now } = setUp();
    const events = await record(created('u-1'), created('u-2'), created('u-3'));
    let pendingWhenPublished: Promise<readonly PositionRange[]> | undefined;
    await publisher.publishAppended(
      events.filter(({ position }) => position !== 2),
      now(),
      () => {
        pendingWhenPublished = pending();
      },
    );
    expect(published).to.deep.equal([1, 3]);
    expect(await pendingWhenPublished).to.have.length(3);
    expect(await pending()).to.deep.equal([{ first: 2, last: 2 }]);
  });

  it('publishes again only what was not confirmed, until all is', async () => {
    const outcomes = [['confirmed', 'unknown', 'confirmed'], ['unknown'], ['confirmed']] as const;
    let calls = 0;
    const { record, publisher, published } = setUp(async () => outcomes[calls++] ?? []);
    await publisher.publish(await record(created('u-1'), created('u-2'), created('u-3')));
    expect(published).to.deep.equal([1, 2, 3, 2, 2]);
  });

  it('gives up after so many tries in a row of which nothing was confirmed, where it is told to', async () => {
    const outcomes = [
      ['unknown', 'unknown', 'unknown'],
      ['unknown', 'confirmed', 'unknown'],
      ['unknown', 'unknown'],
      ['unknown', 'confirmed'],
      ['unknown'],
      ['unknown'],
    ] as const;
    let calls = 0;
    const { record, publisher, published } = setUp(async () => outcomes[calls++] ?? ['confirmed']);
    const events = await record(created('u-1'), created('u-2'), created('u-3'));
    const failure = await publisher.publish(events, { inVain: 2 }).catch((error: unknown) => error);
    expect((failure as Error).message).to.include('1 events, the first at position 1');
    expect(published).to.deep.equal([1, 2, 3, 1, 2, 3, 1, 3, 1, 3, 1, 1]);
  });

  it('says that the broker is unavailable when the time to drain is over, and forgets nothing', async () => {
    const { record, publisher, drained, pending, now } = setUp(async (messages) =>
      messages.map(() => 'unknown' as const),
    );
    drained.abort();
    const failure = await publisher
      .publishAppended(await record(created('u-1')), now())
      .catch((error: unknown) => error);
    expect(failure).to.include({ code: 'BROKER_UNAVAILABLE' });
    expect(await pending()).to.deep.equal([{ first: 1, last: 1 }]);
  });

  it('leaves to the relays, not forgotten and not kept, what a broker that is up does not confirm in three tries', async () => {
    const { record, publisher, published, kept, pending, now } = setUp(async (messages) =>
      messages.map(({ properties }) => (properties.messageId === refused ? 'unknown' : 'confirmed')),
    );
    const events = await record(created('u-1'), created('u-2'));
    const refused = events[1]?.id;
    let isPublished = false;
    const done = await publisher.publishAppended(events, now(), () => {
      isPublished = true;
    });
    expect([done, isPublished, published]).to.deep.equal([false, false, [1, 2, 2, 2]]);
    expect(await pending()).to.deep.equal([
      { first: 1, last: 1 },
      { first: 2, last: 2 },
    ]);
    kept.length = 0;
    // A marker: it is kept while it waits, and what was left before is not.
    const wait = makeGate();
    const marker = publisher.publishTaken([{ first: 7, last: 7 }], async () => {
      await wait.opened;
      return false;
    });
    await eventually(() => {
      expect(kept).to.have.length.above(1);
    });
    wait.open();
    await marker;
    expect(kept.flat().every(({ first }) => first === 7)).to.equal(true);
  });

  for (const [what, health] of [
    ['down', { ...up, status: 'down' }],
    ['blocked', { ...up, status: 'degraded', blocked: true }],
  ] as const) {
    it(`waits with what was appended for a broker that is ${what}, however many tries that takes`, async () => {
      let tries = 0;
      const { record, publisher, state, pending, now } = setUp(async (messages) => {
        tries += 1;
        return messages.map(() => (tries < 6 ? 'unknown' : 'confirmed'));
      });
      state.health = health;
      expect(await publisher.publishAppended(await record(created('u-1')), now())).to.equal(true);
      expect([tries, await pending()]).to.deep.equal([6, []]);
    });
  }

  describe('keeps ranges', () => {
    it('as long as the broker does not confirm, however often that fails, and no longer', async () => {
      let gate = makeGate();
      const { record, publisher, kept, pending, now } = setUp(
        async (messages) => {
          await gate.opened;
          return confirmAll(messages);
        },
        async () => {
          throw new WarrenError('STORE_UNAVAILABLE', 'down');
        },
      );
      const publishOne = async (position: number): Promise<void> => {
        const done = publisher.publishAppended(await record(created(`u-${position}`)), now());
        const [before, range] = [kept.length, { first: position, last: position }];
        await eventually(() => {
          expect(kept.slice(before)).to.deep.include([range]).and.to.have.length.above(2);
        });
        expect(kept.slice(before)).to.deep.equal(kept.slice(before).map(() => [range]));
        gate.open();
        await done;
      };
      await publishOne(1);
      gate = makeGate();
      // That nothing keeps the first any more is seen while the second is kept.
      await publishOne(2);
      expect(await pending()).to.deep.equal([]);
    });

    it('that it took over and has not come to yet, without those that it has forgotten', async () => {
      const waits = [makeGate(), makeGate()] as const;
      const { publisher, kept } = setUp();
      const [first, second] = [
        { first: 1, last: 2 },
        { first: 5, last: 5 },
      ];
      const started: PositionRange[] = [];
      const done = publisher.publishTaken([first, second], async (range) => {
        started.push(range);
        await waits[range === first ? 0 : 1].opened;
        return true;
      });
      await eventually(() => {
        expect(kept.at(-1)).to.deep.equal([first, second]);
      });
      waits[0].open();
      await eventually(() => {
        expect(kept.at(-1)).to.deep.equal([second]);
      });
      waits[1].open();
      await done;
      expect(started).to.deep.equal([first, second]);
    });

    it('at once, before it publishes, where the append took so long that relays may see them soon', async () => {
      let keptWhenPublished = -1;
      const { record, publisher, kept, now, pending } = setUp(
        async (messages) => {
          keptWhenPublished = kept.length;
          return confirmAll(messages);
        },
        async () => {
          throw new WarrenError('STORE_UNAVAILABLE', 'down');
        },
        60_000,
      );
      const later = (ms: number): Date => new Date(now().getTime() + ms);
      await publisher.publishAppended(await record(created('u-1')), later(19_999));
      expect(keptWhenPublished).to.equal(0);
      await publisher.publishAppended(await record(created('u-2'), created('u-3')), later(20_000));
      expect([keptWhenPublished, kept]).to.deep.equal([1, [[{ first: 2, last: 3 }]]]);
      expect(await pending()).to.deep.equal([]);
    });

    it('that it took over no more once it has left them for later', async () => {
      const wait = makeGate();
      const { publisher, kept, record, pending } = setUp();
      await record(created('u-1'), created('u-2'));
      const [first, second] = [
        { first: 1, last: 1 },
        { first: 2, last: 2 },
      ];
      const done = publisher.publishTaken([first, second], async (range) => {
        if (range === first) return false;
        await wait.opened;
        return true;
      });
      await eventually(() => {
        expect(kept.at(-1)).to.deep.equal([second]);
      });
      wait.open();
      await done;
      expect(await pending()).to.deep.equal([first]);
    });

    it('at no cost where the broker confirms at once', async () => {
      const { record, publisher, kept, now } = setUp(confirmAll, undefined, 60_000);
      for (let number = 1; number <= 20; number += 1) {
        await publisher.publishAppended(await record(created(`u-${number}`)), now());
      }
      expect(kept).to.deep.equal([]);
    });

    it('and leaves nothing in flight when it is done', async () => {
      const [broker, database] = [makeGate(), makeGate()];
      const { record, publisher, kept, now } = setUp(
        async (messages) => {
          await broker.opened;
          return confirmAll(messages);
        },
        () => database.opened,
      );
      let isDone = false;
      const done = publisher.publishAppended(await record(created('u-1')), now()).then(() => {
        isDone = true;
      });
      await eventually(() => {
        expect(kept).to.have.length(1);
      });
      broker.open();
      for (let turn = 0; turn < 20; turn += 1) await loopDrained();
      expect(isDone).to.equal(false);
      database.open();
      await done;
    });
  });
});
