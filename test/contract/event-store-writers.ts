import { expect } from 'chai';
import type { EventStore } from '../../src/event-store/event-store.js';
import { collect, commitOf, eventsOf, positionOf, store, streamOf, upTo, versionOf } from './event-store-fixtures.js';
import type { StoreOf } from './event-store-fixtures.js';

/** Appends one event to stream `a`, again after each conflict, as a worker does. */
const appendNext = async (eventStore: EventStore, startVersion: number): Promise<void> => {
  let expectedVersion = startVersion;
  for (let attempt = 1; attempt <= 1000; attempt += 1) {
    const [outcome] = await eventStore.append([commitOf('a', expectedVersion)]);
    if (outcome?.status !== 'conflict') {
      eventsOf(outcome);
      return;
    }
    expectedVersion = outcome.actualVersion;
  }
  throw new Error('a conflict every time');
};

export const describeWriters = (opened: StoreOf): void => {
  describe('writers at once', () => {
    it('lets one of two writers with one expected version append, the other conflict', async () => {
      const { adapter, peer } = opened();
      for (const round of upTo(10)) {
        const expectedVersion = (round - 1) * 2;
        const outcomes = await Promise.all([
          adapter.append([commitOf('a', expectedVersion, ['left', 'left'])]),
          peer.append([commitOf('a', expectedVersion, ['right', 'right'])]),
        ]);
        const statuses = outcomes.flat().map((outcome) => outcome.status);
        expect(statuses).to.have.members(['appended', 'conflict']);
        const stored = await collect(adapter.readStream(streamOf('a'), { afterVersion: expectedVersion }));
        const winner = statuses[0] === 'appended' ? 'left' : 'right';
        expect(stored.map((event) => event.type)).to.deep.equal([winner, winner]);
        const loser = outcomes.flat().find((outcome) => outcome.status === 'conflict');
        expect(loser).to.deep.include({ expectedVersion, actualVersion: expectedVersion + 2 });
      }
    });

    it('does not take what was built upon a commit that lost to a call at once, though its version fits', async () => {
      const { adapter, peer } = opened();
      for (const round of upTo(12)) {
        const stream = `a-${round}`;
        const other = round % 2 === 0 ? adapter : peer;
        const calls = [
          () => adapter.append([commitOf(stream, 0, ['left'])]),
          () => other.append([commitOf(stream, 0, ['right']), commitOf(stream, 1, ['upon right'])]),
        ];
        if (round % 4 > 1) calls.reverse();
        await Promise.all(calls.map((call) => call()));
        const types = (await collect(adapter.readStream(streamOf(stream)))).map((event) => event.type);
        expect(types.join(', ')).to.be.oneOf(['left', 'right, upon right']);
      }
    });

    it('gives a contended stream the versions 1..n, each once', async () => {
      const { adapter, peer } = opened();
      await Promise.all(upTo(16).map((writer) => appendNext(writer % 2 === 0 ? adapter : peer, 0)));
      const versions = (await collect(adapter.readStream(streamOf('a')))).map(versionOf);
      expect(versions).to.deep.equal(upTo(16));
    });

    it('gives the store the positions 1..N under twenty appends at once, conflicts among them', async () => {
      const { adapter, peer } = opened();
      const calls = upTo(20).map((call) =>
        (call % 2 === 0 ? adapter : peer).append([
          commitOf(`own-${call}`, 0, ['x', 'y']),
          commitOf('contended', 0),
          commitOf(`own-${call}`, 2),
        ]),
      );
      const outcomes = (await Promise.all(calls)).flat();
      const events = outcomes.flatMap((outcome) => (outcome.status === 'appended' ? outcome.events : []));
      expect(events).to.have.lengthOf(20 * 3 + 1);
      const read = await collect(peer.readAll());
      expect(read.map(positionOf)).to.deep.equal(upTo(events.length));
      expect(read).to.have.deep.members([...events]);
    });

    it('shows a reader no position before all that are lower', async () => {
      const { adapter, peer } = opened();
      const appending = { done: false };
      const writers = Promise.all(
        upTo(30).map(async (number) =>
          store(number % 2 === 0 ? adapter : peer, commitOf(`a-${number}`, 0, ['x', 'y'])),
        ),
      ).finally(() => (appending.done = true));
      do {
        const positions = (await collect(peer.readAll())).map(positionOf);
        expect(positions).to.deep.equal(upTo(positions.length));
      } while (!appending.done);
      await writers;
      expect(await peer.headPosition()).to.equal(60);
    });

    it('shows a reader the events of a commit all or none', async () => {
      const { adapter, peer } = opened();
      const appending = { done: false };
      const writers = Promise.all(
        upTo(40).map((number) => store(number % 2 === 0 ? adapter : peer, commitOf(`a-${number}`, 0, ['x', 'y', 'z']))),
      ).finally(() => (appending.done = true));
      do {
        const events = await collect(peer.readAll());
        expect(events.map((event) => event.type).join('')).to.equal('xyz'.repeat(events.length / 3));
      } while (!appending.done);
      await writers;
      expect(await peer.headPosition()).to.equal(120);
    });

    it('shows who knows the head all events up to it', async () => {
      const { adapter, peer } = opened();
      const appending = { done: false };
      const writers = Promise.all(
        upTo(30).map((number) => store(number % 2 === 0 ? adapter : peer, commitOf(`a-${number}`, 0, ['x', 'y']))),
      ).finally(() => (appending.done = true));
      let highest = 0;
      do {
        const head = await peer.headPosition();
        expect(head).to.be.at.least(highest);
        highest = head;
        expect(await collect(adapter.readAll({ toPosition: head }))).to.have.lengthOf(head);
      } while (!appending.done);
      await writers;
      expect(await peer.headPosition()).to.equal(60);
    });

    it('shows what was appended to every instance at once', async () => {
      const { adapter, peer } = opened();
      for (const round of upTo(5)) {
        const [writer, reader] = round % 2 === 0 ? [adapter, peer] : [peer, adapter];
        const events = await store(writer, commitOf('a', round - 1));
        const tail = reader.readTails([{ stream: streamOf('a'), afterVersion: round - 1 }]);
        expect(await collect(tail)).to.deep.equal([events]);
        expect(await reader.headPosition()).to.equal(round);
      }
    });

    it('has one id, the same for every instance', async () => {
      const { adapter, peer } = opened();
      const [own, other, again] = await Promise.all([adapter.storeId(), peer.storeId(), adapter.storeId()]);
      expect(own).to.be.a('string').that.is.not.equal('');
      expect([other, again]).to.deep.equal([own, own]);
    });
  });
};
