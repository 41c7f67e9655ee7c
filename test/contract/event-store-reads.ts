import { expect } from 'chai';
import type { RecordedEvent } from '../../src/core/message.js';
import type { EventStore, ReadAllOptions, ReadStreamOptions } from '../../src/event-store/event-store.js';
import { eventually } from '../helpers/eventually.js';
import { collect, commitOf, positionOf, store, streamOf, upTo, versionOf } from './event-store-fixtures.js';
import type { StoreOf } from './event-store-fixtures.js';

/** Stores a stream of so many events, in commits of 100. */
const grow = async (adapter: EventStore, aggregateId: string, count: number): Promise<void> => {
  const sizes = Array.from({ length: Math.ceil(count / 100) }, (_, index) => Math.min(100, count - index * 100));
  await store(
    adapter,
    ...sizes.map((size, index) => commitOf(aggregateId, index * 100, Array<string>(size).fill('x'))),
  );
};

/** Aborts a read of at least two events before its first event, and after it. */
const expectAbort = async (read: (signal: AbortSignal) => AsyncIterable<RecordedEvent>): Promise<void> => {
  const reason = new Error('enough');
  for (const abortAfter of [0, 1]) {
    const controller = new AbortController();
    if (abortAfter === 0) controller.abort(reason);
    let events = 0;
    let thrown: unknown;
    try {
      for await (const { position } of read(controller.signal)) {
        events = position;
        controller.abort(reason);
      }
    } catch (error) {
      thrown = error;
    }
    expect({ events, isReason: thrown === reason }).to.deep.equal({ events: abortAfter, isReason: true });
  }
};

export const describeReads = (opened: StoreOf): void => {
  describe('readStream', () => {
    it('shows a stream its own events by version and not those of others', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0, ['a1', 'a2']), commitOf('b', 0, ['b1']), commitOf('a', 2, ['a3']));
      const types = (await collect(adapter.readStream(streamOf('a')))).map((event) => event.type);
      expect(types).to.deep.equal(['a1', 'a2', 'a3']);
      expect(await collect(adapter.readStream(streamOf('unknown')))).to.deep.equal([]);
    });

    it('starts after a version and ends at a limit', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0, ['1', '2', '3', '4', '5']));
      const read = async (options: { afterVersion?: number; limit?: number }): Promise<readonly number[]> =>
        (await collect(adapter.readStream(streamOf('a'), options))).map(versionOf);
      expect(await read({ afterVersion: 3 })).to.deep.equal([4, 5]);
      expect(await read({ limit: 2 })).to.deep.equal([1, 2]);
      expect(await read({ afterVersion: 1, limit: 3 })).to.deep.equal([2, 3, 4]);
      expect(await read({ afterVersion: 5 })).to.deep.equal([]);
    });

    it('reads up to a version, and backwards from there', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0, ['1', '2', '3', '4', '5']), commitOf('b', 0, ['1', '2', '3']));
      const read = async (options: ReadStreamOptions): Promise<readonly number[]> =>
        (await collect(adapter.readStream(streamOf('a'), options))).map(versionOf);
      expect(await read({ toVersion: 3 })).to.deep.equal([1, 2, 3]);
      expect(await read({ afterVersion: 1, toVersion: 9, limit: 2 })).to.deep.equal([2, 3]);
      const direction = 'backwards';
      expect(await read({ direction })).to.deep.equal([5, 4, 3, 2, 1]);
      expect(await read({ direction, toVersion: 3 })).to.deep.equal([3, 2, 1]);
      expect(await read({ direction, afterVersion: 2 })).to.deep.equal([5, 4, 3]);
      expect(await read({ direction, afterVersion: 1, toVersion: 4, limit: 2 })).to.deep.equal([4, 3]);
      expect(await read({ direction, afterVersion: 3, toVersion: 2 })).to.deep.equal([]);
    });

    it('reads thousands of events of a stream in order, in either direction', async () => {
      const { adapter } = opened();
      await grow(adapter, 'a', 2500);
      const versions = async (options: ReadStreamOptions): Promise<readonly number[]> =>
        (await collect(adapter.readStream(streamOf('a'), options))).map(versionOf);
      expect(await versions({})).to.deep.equal(upTo(2500));
      expect(await versions({ direction: 'backwards' })).to.deep.equal([...upTo(2500)].reverse());
      expect(await versions({ direction: 'backwards', limit: 1200 })).to.deep.equal(
        [...upTo(2500).slice(1300)].reverse(),
      );
    });

    it('throws the reason when it is aborted, before the first event or after it', async () => {
      const { adapter } = opened();
      await grow(adapter, 'a', 5);
      await expectAbort((signal) => adapter.readStream(streamOf('a'), { signal }));
    });
  });

  describe('readTails', () => {
    const readTails = async (adapter: EventStore, ...tails: Parameters<EventStore['readTails']>[0]) => {
      const pages = await collect(adapter.readTails(tails));
      const ofStream = (aggregateId: string) => pages.flat().filter((event) => event.aggregateId === aggregateId);
      return { pages, ofStream };
    };

    it('gives the events of each stream after its version, ascending', async () => {
      const { adapter } = opened();
      const events = await store(adapter, commitOf('a', 0, ['a1', 'a2', 'a3']), commitOf('b', 0, ['b1', 'b2']));
      const { pages, ofStream } = await readTails(
        adapter,
        { stream: streamOf('b'), afterVersion: 0 },
        { stream: streamOf('unknown'), afterVersion: 0 },
        { stream: streamOf('a'), afterVersion: 1 },
        { stream: streamOf('a', 'other'), afterVersion: 0 },
      );
      expect(ofStream('a')).to.deep.equal(events.slice(1, 3));
      expect(ofStream('b')).to.deep.equal(events.slice(3));
      expect(pages.flat()).to.have.lengthOf(4);
    });

    it('reads a stream that is asked for twice once, from the lower version', async () => {
      const { adapter } = opened();
      const events = await store(adapter, commitOf('a', 0, ['1', '2', '3', '4']));
      const [high, low] = [
        { stream: streamOf('a'), afterVersion: 3 },
        { stream: streamOf('a'), afterVersion: 1 },
      ];
      expect((await readTails(adapter, high, low)).pages).to.deep.equal([events.slice(1)]);
      expect((await readTails(adapter, low, high)).pages).to.deep.equal([events.slice(1)]);
    });

    it('gives long tails in pages of at most 1000, none empty, each stream ascending through all of them', async () => {
      const { adapter } = opened();
      await Promise.all(['a', 'b', 'c'].map((id) => grow(adapter, id, 1500)));
      // From different versions, so that no one range of the index has them all.
      const { pages, ofStream } = await readTails(
        adapter,
        { stream: streamOf('c'), afterVersion: 20 },
        { stream: streamOf('a'), afterVersion: 0 },
        { stream: streamOf('b'), afterVersion: 500 },
      );
      expect(pages.length).to.be.greaterThan(3);
      for (const page of pages) expect(page).to.have.lengthOf.within(1, 1000);
      expect(ofStream('a').map(versionOf)).to.deep.equal(upTo(1500));
      expect(ofStream('b').map(versionOf)).to.deep.equal(upTo(1500).slice(500));
      expect(ofStream('c').map(versionOf)).to.deep.equal(upTo(1500).slice(20));
    });

    it('works on after a reader of tails that left early', async () => {
      const { adapter } = opened();
      await grow(adapter, 'a', 1200);
      for await (const page of adapter.readTails([{ stream: streamOf('a'), afterVersion: 0 }])) {
        expect(page).to.have.lengthOf(1000);
        break;
      }
      const tail = { stream: streamOf('a'), afterVersion: 1000 };
      expect((await readTails(adapter, tail)).ofStream('a')).to.have.lengthOf(200);
    });
  });

  describe('readAll', () => {
    it('reads between two positions, up to a limit', async () => {
      const { adapter } = opened();
      await store(adapter, ...upTo(9).map((number) => commitOf(`a-${number}`, 0)));
      const read = async (options: { afterPosition?: number; toPosition?: number; limit?: number }) =>
        (await collect(adapter.readAll(options))).map(positionOf);
      expect(await read({ afterPosition: 6 })).to.deep.equal([7, 8, 9]);
      expect(await read({ toPosition: 2 })).to.deep.equal([1, 2]);
      expect(await read({ afterPosition: 2, toPosition: 8, limit: 3 })).to.deep.equal([3, 4, 5]);
      expect(await read({ afterPosition: 9 })).to.deep.equal([]);
    });

    it('reads events of some types, the limit counting those only', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0, ['x', 'y', 'z', 'x', 'y', 'x']));
      const read = async (types: readonly string[], limit?: number) =>
        (await collect(adapter.readAll(limit === undefined ? { types } : { types, limit }))).map(positionOf);
      expect(await read(['x'])).to.deep.equal([1, 4, 6]);
      expect(await read(['z', 'y'])).to.deep.equal([2, 3, 5]);
      expect(await read(['x'], 2)).to.deep.equal([1, 4]);
      expect(await read(['unknown'])).to.deep.equal([]);
    });

    it('reads events since a time, those of that very time too', async () => {
      const { adapter } = opened();
      const [early] = await store(adapter, commitOf('a', 0));
      const { timestamp } = early ?? expect.fail('no event');
      await eventually(() => {
        expect(Date.now()).to.be.greaterThan(timestamp.getTime());
      });
      const [late] = await store(adapter, commitOf('b', 0));
      const since = async (time: Date): Promise<readonly number[]> =>
        (await collect(adapter.readAll({ since: time }))).map(positionOf);
      expect(await since(timestamp)).to.deep.equal([1, 2]);
      expect(await since(late?.timestamp ?? timestamp)).to.deep.equal([2]);
    });

    it('reads thousands of events in order', async () => {
      const { adapter } = opened();
      await store(adapter, ...upTo(2500).map((number) => commitOf(`a-${number}`, 0)));
      const positions = (await collect(adapter.readAll())).map(positionOf);
      expect(positions).to.deep.equal(upTo(2500));
    });

    it('ends, although events are appended while it reads', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0, ['1', '2', '3', '4', '5']));
      const positions: number[] = [];
      for await (const event of adapter.readAll()) {
        positions.push(event.position);
        if (positions.length > 50) break;
        await store(adapter, commitOf(`b-${event.position}`, 0));
      }
      expect(positions).to.have.lengthOf.within(5, 50);
      expect(positions).to.deep.equal(upTo(positions.length));
    });

    it('reads events of some types since a time, between two positions', async () => {
      const { adapter } = opened();
      const [first] = await store(adapter, commitOf('a', 0, ['x', 'y', 'z', 'x', 'y', 'x']));
      const { timestamp: since } = first ?? expect.fail('no event');
      const read = async (options: ReadAllOptions): Promise<readonly number[]> =>
        (await collect(adapter.readAll(options))).map(positionOf);
      expect(await read({ since, types: ['x', 'z'], afterPosition: 1, toPosition: 5 })).to.deep.equal([3, 4]);
      expect(await read({ since: new Date(since.getTime() + 3_600_000), types: ['x'] })).to.deep.equal([]);
    });

    it('throws the reason when it is aborted, before the first event or after it', async () => {
      const { adapter } = opened();
      await grow(adapter, 'a', 5);
      await expectAbort((signal) => adapter.readAll({ signal }));
    });

    it('works on after a reader that left early', async () => {
      const { adapter } = opened();
      await store(adapter, ...upTo(20).map((number) => commitOf(`a-${number}`, 0)));
      for await (const event of adapter.readAll()) {
        if (event.position === 3) break;
      }
      const positions = (await collect(adapter.readAll({ afterPosition: 3 }))).map(positionOf);
      expect(positions).to.deep.equal(upTo(20).slice(3));
    });
  });

  describe('count', () => {
    it('counts the events of some types between two positions, the first left out, the last taken in', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0, ['x', 'y', 'x', 'z']), commitOf('b', 0, ['x', 'x']));
      const count = (afterPosition: number, toPosition: number, types: readonly string[]) =>
        adapter.count({ afterPosition, toPosition, types });
      expect(await count(0, 6, ['x'])).to.equal(4);
      expect(await count(1, 5, ['x', 'y'])).to.equal(3);
      expect(await count(0, 100, ['x', 'y', 'z'])).to.equal(6);
      expect(await count(0, 6, ['unknown'])).to.equal(0);
      expect(await count(6, 6, ['x'])).to.equal(0);
    });
  });
};
