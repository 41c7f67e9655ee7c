import { expect } from 'chai';
import { setImmediate } from 'node:timers/promises';
import type { EventStore } from '../../src/event-store/event-store.js';
import { makeLiveness, supervise, type LivenessDeps } from '../../src/liveness.js';
import type { BatchHandler, Consumer, ConsumerHealth, MessageBus } from '../../src/messaging/message-bus.js';
import type { ReadStore } from '../../src/read-store/read-store.js';
import { eventually } from '../helpers/eventually.js';

const stops: (() => void)[] = [];

/** It looks once a second of a clock that the test moves. */
const make = (deps: Partial<LivenessDeps> = {}) => {
  const clock = { ms: 0, look: (): void => undefined };
  const liveness = makeLiveness({
    stallMs: 10_000,
    handlerStuckMs: 100_000,
    now: () => clock.ms,
    repeat: (look) => {
      clock.look = look;
      return () => undefined;
    },
    ...deps,
  });
  stops.push(liveness.stop);
  return { clock, liveness };
};

type Clock = ReturnType<typeof make>['clock'];

const pass = (clock: Clock, ms: number): void => {
  for (let passed = 0; passed < ms; passed += 1000) {
    clock.ms += Math.min(1000, ms - passed);
    clock.look();
  }
};

describe('liveness', () => {
  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });

  it('names a loop that is silent for longer than it may, until it beats again or is not wanted any more', () => {
    const { clock, liveness } = make();
    const relay = liveness.watch('relay');
    const other = liveness.watch('other');
    pass(clock, 100000);
    other.beat();
    expect(liveness.state().stuck).to.deep.equal([]);
    pass(clock, 1);
    expect(liveness.state().stuck).to.deep.equal(['relay']);
    relay.beat();
    expect(liveness.state().stuck).to.deep.equal([]);
    pass(clock, 100001);
    expect(liveness.state().stuck).to.have.members(['relay', 'other']);
    relay.end();
    expect(liveness.state().stuck).to.deep.equal(['other']);
  });

  it('expects no beat of a loop that has nothing to do, and gives it its whole time when it has', () => {
    const { clock, liveness } = make();
    let idle = true;
    liveness.watch('consumer', () => idle);
    pass(clock, 500000);
    idle = false;
    expect(liveness.state().stuck).to.deep.equal([]);
    pass(clock, 100000);
    expect(liveness.state().stuck).to.deep.equal([]);
    pass(clock, 1);
    expect(liveness.state().stuck).to.deep.equal(['consumer']);
  });

  it('gives those who waited for broker or database their time anew', () => {
    const { clock, liveness } = make();
    liveness.watch('relay');
    pass(clock, 100001);
    liveness.excuse();
    expect(liveness.state().stuck).to.deep.equal([]);
    pass(clock, 100001);
    expect(liveness.state().stuck).to.deep.equal(['relay']);
  });

  it('calls the event loop stuck when it stood still for longer than it may, for as long again', () => {
    const { clock, liveness } = make();
    clock.ms += 11_000;
    clock.look();
    expect(liveness.state().stuck).to.deep.equal([]);
    clock.ms += 11_001;
    clock.look();
    expect(liveness.state().stuck).to.deep.equal(['event loop']);
    pass(clock, 9_999);
    expect(liveness.state().stuck).to.deep.equal(['event loop']);
    pass(clock, 1);
    expect(liveness.state().stuck).to.deep.equal([]);
  });

  it('says how long the event loop kept somebody waiting', async () => {
    const { liveness } = make();
    await eventually(
      async () => {
        const until = performance.now() + 150;
        while (performance.now() < until);
        // The turn of the timers, in which it is measured.
        await setImmediate();
        await setImmediate();
        expect(liveness.state().eventLoopDelayMs).to.be.greaterThan(100);
      },
      { everyMs: 60 },
    );
  });
});

describe('supervision of a worker', () => {
  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });

  const supervised = (alwaysTurns: boolean) => {
    const { clock, liveness } = make();
    const health: { now: ConsumerHealth } = {
      now: { queue: 'q', state: 'consuming', dependency: null, inHand: 0 },
    };
    let handle: BatchHandler = () => Promise.resolve([]);
    const consume: MessageBus['consume'] = (_, handler): Consumer => {
      handle = handler;
      return {
        ready: Promise.resolve(),
        isConsuming: () => true,
        health: () => health.now,
        stop: () => Promise.resolve(),
      };
    };
    const outbox = { takeOver: () => Promise.resolve([]) };
    const eventStore = { headPosition: () => Promise.resolve(7), outbox } as unknown as EventStore;
    const { ports, end } = supervise(
      'worker',
      { bus: { consume } as unknown as MessageBus, eventStore, readStore: {} as ReadStore },
      { liveness, alwaysTurns },
    );
    return { clock, liveness, health, ports, end, handle: (...args: Parameters<BatchHandler>) => handle(...args) };
  };
  const options = { prefetch: 1, batchSize: 1 };

  it('takes a handler at work for alive up to the limit, and knows when it is done', async () => {
    const { clock, liveness, ports, handle, end } = supervised(false);
    let release: () => void = () => undefined;
    const work = new Promise<void>((resolve) => (release = resolve));
    ports.bus.consume(
      'q',
      async () => {
        await work;
        return [];
      },
      options,
    );
    pass(clock, 200000);
    const handled = handle([]);
    pass(clock, 100000);
    expect(liveness.state().stuck).to.deep.equal([]);
    pass(clock, 1);
    expect(liveness.state().stuck).to.deep.equal(['worker']);
    release();
    await handled;
    expect(liveness.state().stuck).to.deep.equal([]);
    pass(clock, 200000);
    expect(liveness.state().stuck).to.deep.equal([]);
    end();
  });

  it('expects something of deliveries in hand, but not while a dependency is waited for', async () => {
    const { clock, liveness, ports, health } = supervised(false);
    ports.bus.consume('q', () => Promise.resolve([]), options);
    health.now = { queue: 'q', state: 'paused', dependency: 'store', inHand: 5 };
    pass(clock, 200000);
    expect(liveness.state().stuck).to.deep.equal([]);
    health.now = { queue: 'q', state: 'consuming', dependency: null, inHand: 5 };
    pass(clock, 100001);
    expect(liveness.state().stuck).to.deep.equal(['worker']);
  });

  it('counts each call of a store as a beat, of a loop that consumes nothing from its first turn on', async () => {
    const { clock, liveness, ports, end } = supervised(true);
    pass(clock, 200000);
    expect(liveness.state().stuck).to.deep.equal([]);
    expect(await ports.eventStore.outbox.takeOver(1, 1)).to.deep.equal([]);
    pass(clock, 70000);
    expect(await ports.eventStore.headPosition()).to.equal(7);
    pass(clock, 70000);
    expect(liveness.state().stuck).to.deep.equal([]);
    pass(clock, 30001);
    expect(liveness.state().stuck).to.deep.equal(['worker']);
    end();
    expect(liveness.state().stuck).to.deep.equal([]);
  });

  it('never lets a worker that compares by itself be silent, with nothing in hand too', async () => {
    const { clock, liveness, ports } = supervised(true);
    ports.bus.consume('q', () => Promise.resolve([]), options);
    pass(clock, 100001);
    expect(liveness.state().stuck).to.deep.equal(['worker']);
  });
});
