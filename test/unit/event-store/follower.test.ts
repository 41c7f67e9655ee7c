import { expect } from 'chai';
import type { RecordedEvent } from '../../../src/core/message.js';
import { WarrenError } from '../../../src/errors.js';
import type { ReadAllOptions } from '../../../src/event-store/event-store.js';
import { follow, type FollowerDeps, type FollowOptions } from '../../../src/event-store/follower.js';
import { makeMemoryEventStore } from '../../../src/event-store/memory-event-store.js';
import { commitOf, store } from '../../contract/event-store-fixtures.js';
import { eventually } from '../../helpers/eventually.js';

const never = 3_600_000;

type Changes = Partial<FollowerDeps> & Partial<FollowOptions> & { readonly whenGiven?: () => Promise<void> };

/** A follower at work on a store in memory, and what it gave and did so far. */
const setUp = () => {
  let ids = 0;
  const memory = makeMemoryEventStore({ now: () => new Date(0), newId: () => `id-${(ids += 1)}` });
  let streams = 0;
  let bells = 0;
  let ring = (): void => undefined;
  const looks: ReadAllOptions[] = [];
  const stop = new AbortController();
  const eventStore: FollowerDeps['eventStore'] = {
    readAll: (options = {}) => (looks.push(options), memory.readAll(options)),
    headPosition: () => memory.headPosition(),
  };
  const append = (...types: readonly string[]) =>
    store(memory, ...types.map((type) => commitOf(`a-${(streams += 1)}`, 0, [type])));

  const start = (changes: Changes = {}) => {
    const given: number[] = [];
    const outages: string[] = [];
    const { afterPosition = 0, types, signal = stop.signal, whenGiven, ...deps } = changes;
    const events = follow(
      {
        eventStore,
        bell: (given) => {
          bells += 1;
          ring = given;
          return {
            stop: async () => {
              bells -= 1;
            },
          };
        },
        pollMs: never,
        onOutage: ({ message }) => outages.push(message),
        ...deps,
      },
      { afterPosition, signal, ...(types ? { types } : {}) },
    );
    const run = async (): Promise<'ended' | Error> => {
      try {
        for await (const event of events) {
          given.push(event.position);
          await whenGiven?.();
        }
        return 'ended';
      } catch (error) {
        return error as Error;
      }
    };
    return { given, outages, done: run() };
  };

  return {
    memory,
    eventStore,
    looks,
    append,
    stop,
    start,
    ring: () => {
      ring();
    },
    listening: () => bells,
  };
};

const gives = (follower: { readonly given: readonly number[] }, ...positions: readonly number[]) =>
  eventually(() => {
    expect(follower.given).to.deep.equal(positions);
  });

describe('follower', () => {
  let test: ReturnType<typeof setUp>;
  beforeEach(() => {
    test = setUp();
  });
  afterEach(() => {
    test.stop.abort();
  });

  it('gives what is stored after the position, then what comes when the bell rings', async () => {
    const { append, start, ring } = test;
    await append('x', 'x', 'x');
    const follower = start({ afterPosition: 1 });
    await gives(follower, 2, 3);
    await append('x', 'x');
    ring();
    await gives(follower, 2, 3, 4, 5);
  });

  it('finds by polling what no bell told of', async () => {
    const { append, start } = test;
    const follower = start({ pollMs: 1 });
    await append('x');
    await gives(follower, 1);
    await append('x');
    await gives(follower, 1, 2);
  });

  it('looks again when the bell rang while it was looking', async () => {
    const { eventStore, memory, append, start, ring, looks } = test;
    await append('x');
    // Behind the end of the first look, before its end is told: nothing else would make it look again.
    const readAll: typeof eventStore.readAll = async function* (options) {
      yield* eventStore.readAll(options);
      if (looks.length > 1) return;
      await append('x');
      ring();
    };
    await gives(start({ eventStore: { ...memory, readAll } }), 1, 2);
  });

  it('looks again when the bell rang while an event was in hand', async () => {
    const { append, start, ring, looks } = test;
    await append('x', 'x');
    const follower = start({
      whenGiven: async () => {
        if (looks.length > 1 || follower.given.length > 1) return;
        await append('x');
        ring();
      },
    });
    await gives(follower, 1, 2, 3);
  });

  it('looks once for a thousand rings', async () => {
    const { append, start, ring, looks } = test;
    const follower = start();
    await eventually(() => {
      expect(looks).to.have.lengthOf(1);
    });
    await append('x');
    for (let rings = 0; rings < 1000; rings += 1) ring();
    await gives(follower, 1);
    await append('x');
    ring();
    await gives(follower, 1, 2);
    // One look for the thousand, at most one more for those among them that came while it began.
    expect(looks).to.have.lengthOf.within(3, 4);
  });

  it('reads nothing ahead while the reader is busy with an event', async () => {
    const { memory, append, start, ring } = test;
    await append('x', 'x', 'x');
    let taken = 0;
    const readAll: typeof memory.readAll = async function* (options) {
      for await (const event of memory.readAll(options)) {
        taken += 1;
        yield event;
      }
    };
    let goOn = (): void => undefined;
    const busy = new Promise<void>((resolve) => (goOn = resolve));
    const follower = start({ eventStore: { ...memory, readAll }, whenGiven: () => busy });
    await gives(follower, 1);
    ring();
    // A marker: another follower that is not busy sees everything meanwhile.
    await gives(start({ eventStore: memory }), 1, 2, 3);
    expect(taken).to.equal(1);
    goOn();
    await gives(follower, 1, 2, 3);
  });

  describe('of some types', () => {
    it('gives those and no others', async () => {
      const { append, start, ring } = test;
      await append('x', 'y', 'z', 'x');
      const follower = start({ types: ['x', 'y'] });
      await gives(follower, 1, 2, 4);
      await append('z', 'y');
      ring();
      await gives(follower, 1, 2, 4, 6);
    });

    it('remembers how far it looked, and reads no event while there is none', async () => {
      const { append, start, ring, looks, memory } = test;
      let heads = 0;
      const headPosition = async () => ((heads += 1), memory.headPosition());
      await append('z', 'x', 'z', 'z');
      const follower = start({ types: ['x'], eventStore: { ...test.eventStore, headPosition }, pollMs: 1 });
      await gives(follower, 2);
      await eventually(() => {
        expect(heads).to.be.greaterThan(5);
      });
      expect(looks).to.have.lengthOf(1);
      await append('z', 'x');
      ring();
      await gives(follower, 2, 6);
      expect(looks[1]).to.include({ afterPosition: 4 });
    });

    it('misses no event that is stored between its look at the head and its read', async () => {
      const { append, start, memory } = test;
      await append('z');
      const headPosition = async () => {
        const head = await memory.headPosition();
        if (head < 4) await append('x');
        return head;
      };
      await gives(start({ types: ['x'], eventStore: { ...memory, headPosition }, pollMs: 1 }), 2, 3, 4);
    });
  });

  describe('in trouble', () => {
    const away = () => new WarrenError('STORE_UNAVAILABLE', 'away');

    it('goes on after an outage in the middle of a look, each event once, and tells of it once', async () => {
      const { append, start, memory } = test;
      await append('x', 'x', 'x', 'x');
      let failures = 0;
      const readAll: typeof memory.readAll = async function* (options) {
        for await (const event of memory.readAll(options)) {
          if (event.position === 3 && (failures += 1) <= 3) throw away();
          yield event;
        }
      };
      const follower = start({ eventStore: { ...memory, readAll }, pollMs: 1 });
      await gives(follower, 1, 2, 3, 4);
      expect(follower.outages).to.deep.equal(['away']);
    });

    it('goes on after an outage of the head, and tells of each outage', async () => {
      const { append, start, memory } = test;
      let heads = 0;
      const headPosition = async () => {
        heads += 1;
        if (heads === 2 || heads === 3 || heads === 5) throw away();
        return memory.headPosition();
      };
      const follower = start({ types: ['x'], eventStore: { ...memory, headPosition }, pollMs: 1 });
      await eventually(() => {
        expect(heads).to.be.greaterThan(5);
      });
      await append('x');
      await gives(follower, 1);
      expect(follower.outages).to.deep.equal(['away', 'away']);
    });

    it('ends with any other error, and listens no more', async () => {
      const { start, memory, listening } = test;
      const wrong = new Error('a defect');
      // eslint-disable-next-line require-yield
      const readAll: typeof memory.readAll = async function* () {
        throw wrong;
      };
      expect(await start({ eventStore: { ...memory, readAll } }).done).to.equal(wrong);
      expect(listening()).to.equal(0);
    });

    it('refuses a hole, a repetition and a step back, and names both positions', async () => {
      const { append, start, memory } = test;
      const events = await append('x', 'x', 'x', 'x');
      const attempt = async (types: readonly string[] | undefined, ...positions: readonly number[]) => {
        const readAll = async function* (): AsyncGenerator<RecordedEvent> {
          for (const position of positions) yield events[position - 1] ?? expect.fail('no event');
        };
        const follower = start({ eventStore: { ...memory, readAll }, ...(types ? { types } : {}) });
        const error = await follower.done;
        return [follower.given, (error as WarrenError).code, (error as Error).message.match(/\d+/g)];
      };
      expect(await attempt(undefined, 1, 3)).to.deep.equal([[1], 'LOG_BROKEN', ['1', '3']]);
      expect(await attempt(undefined, 1, 2, 2)).to.deep.equal([[1, 2], 'LOG_BROKEN', ['2', '2']]);
      expect(await attempt(['x'], 1, 3, 2)).to.deep.equal([[1, 3], 'LOG_BROKEN', ['3', '2']]);
    });
  });

  describe('when it is aborted', () => {
    it('ends before it looked, and gives nothing', async () => {
      const { append, start, listening } = test;
      await append('x');
      const follower = start({ signal: AbortSignal.abort() });
      expect([await follower.done, follower.given, listening()]).to.deep.equal(['ended', [], 0]);
    });

    it('ends while it waits', async () => {
      const { start, looks, stop, listening } = test;
      const follower = start();
      await eventually(() => {
        expect([looks.length, listening()]).to.deep.equal([1, 1]);
      });
      stop.abort(new Error('enough'));
      expect([await follower.done, listening()]).to.deep.equal(['ended', 0]);
    });

    it('ends in the middle of a look, after the event in hand', async () => {
      const { append, start, stop, listening } = test;
      await append('x', 'x', 'x');
      const follower = start({
        whenGiven: async () => {
          stop.abort(new Error('enough'));
        },
      });
      expect([await follower.done, follower.given, listening()]).to.deep.equal(['ended', [1], 0]);
    });

    it('ends during an outage', async () => {
      const { start, memory, stop } = test;
      // eslint-disable-next-line require-yield
      const readAll: typeof memory.readAll = async function* () {
        throw new WarrenError('STORE_UNAVAILABLE', 'away');
      };
      const follower = start({ eventStore: { ...memory, readAll } });
      await eventually(() => {
        expect(follower.outages).to.have.lengthOf(1);
      });
      stop.abort();
      expect(await follower.done).to.equal('ended');
    });

    it('listens no more when its reader leaves', async () => {
      const { append, start, listening } = test;
      await append('x', 'x');
      const { given, done } = start({ whenGiven: () => Promise.reject(new Error('reader failed')) });
      expect([((await done) as Error).message, given, listening()]).to.deep.equal(['reader failed', [1], 0]);
    });
  });
});
