import { expect } from 'chai';
import type { Commit } from '../../src/event-store/event-store.js';
import { collect, commitOf, metadataOf, newCommandId, positionOf, store, upTo } from './event-store-fixtures.js';
import type { StoreOf } from './event-store-fixtures.js';

export const describeCommands = (opened: StoreOf): void => {
  describe('command ids', () => {
    it('answers a stored command id with its first events and digest, whatever else the commit says', async () => {
      const { adapter, peer } = opened();
      const metadata = metadataOf(newCommandId());
      const events = await store(adapter, commitOf('a', 0, ['one', 'two'], { metadata, commandDigest: 'first' }));
      for (const instance of [adapter, peer]) {
        const outcomes = await instance.append([
          commitOf('a', 0, ['one', 'two'], { metadata, commandDigest: 'first' }),
          commitOf('a', 2, ['three'], { metadata, commandDigest: 'second' }),
          commitOf('b', 0, ['elsewhere'], { metadata, commandDigest: 'third' }),
        ]);
        const duplicate = { status: 'duplicate', commandDigest: 'first', events };
        expect(outcomes).to.deep.equal([duplicate, duplicate, duplicate]);
      }
      expect(await collect(adapter.readAll())).to.deep.equal(events);
    });

    it('stores a command id once when one call brings it twice', async () => {
      const { adapter } = opened();
      const metadata = metadataOf(newCommandId());
      const [first, again, other] = await adapter.append([
        commitOf('a', 0, ['one'], { metadata }),
        commitOf('a', 0, ['one'], { metadata }),
        commitOf('b', 0),
      ]);
      expect([first?.status, again?.status, other?.status]).to.deep.equal(['appended', 'duplicate', 'appended']);
      expect(again).to.have.deep.property('events', await collect(adapter.readAll({ limit: 1 })));
      expect(await adapter.headPosition()).to.equal(2);
    });

    it('takes the second of two commits of one id in a call when the first is lost, and what builds upon it', async () => {
      const { adapter, peer } = opened();
      const metadata = metadataOf(newCommandId());
      await store(adapter, commitOf('a', 0));
      // By a writer that does not know yet that the first is late.
      const outcomes = await peer.append([
        commitOf('a', 0, ['lost'], { metadata, commandDigest: 'first' }),
        commitOf('b', 0, ['taken'], { metadata, commandDigest: 'second' }),
        commitOf('b', 1, ['upon it']),
        commitOf('c', 0, ['last']),
      ]);
      expect(outcomes.map((outcome) => outcome.status)).to.deep.equal(['conflict', 'appended', 'appended', 'appended']);
      const types = (await collect(adapter.readAll({ afterPosition: 1 }))).map((event) => event.type);
      expect(types).to.deep.equal(['taken', 'upon it', 'last']);
      const [again] = await adapter.append([commitOf('a', 1, ['again'], { metadata })]);
      expect(again).to.deep.include({ status: 'duplicate', commandDigest: 'second' });
    });

    it('decides the commits of one id in a call in their order, whatever their streams', async () => {
      const { adapter, peer } = opened();
      const [x, y, z] = [newCommandId(), newCommandId(), newCommandId()].map((id) => ({ metadata: metadataOf(id) }));
      const statuses = async (...commits: readonly Commit[]) =>
        (await peer.append(commits)).map((outcome) => outcome.status);
      await store(adapter, commitOf('a', 0));
      // By a writer that does not know yet which versions the streams have.
      expect(await statuses(commitOf('a', 1, ['first'], x), commitOf('b', 5, ['again'], x))).to.deep.equal([
        'appended',
        'duplicate',
      ]);
      expect(
        await statuses(
          commitOf('c', 0, ['first'], y),
          commitOf('d', 0, ['again'], y),
          commitOf('d', 1, ['upon it'], z),
          commitOf('e', 0, ['first'], z),
        ),
      ).to.deep.equal(['appended', 'duplicate', 'conflict', 'appended']);
    });

    it('stores a command id once when two writers bring it at once', async () => {
      const { adapter, peer } = opened();
      for (const round of upTo(10)) {
        const metadata = metadataOf(newCommandId());
        const commit = commitOf(`a-${round}`, 0, ['one', 'two'], { metadata });
        const other = round % 2 === 0 ? adapter : peer;
        const outcomes = (await Promise.all([adapter.append([commit]), other.append([commit])])).flat();
        expect(outcomes.map((outcome) => outcome.status)).to.have.members(['appended', 'duplicate']);
        const [first, second] = outcomes;
        expect(first).to.have.deep.property('events', second && 'events' in second && second.events);
      }
      expect(await adapter.headPosition()).to.equal(20);
    });

    it('takes out of a call only the duplicate and the commits that build upon it', async () => {
      const { adapter } = opened();
      const metadata = metadataOf(newCommandId());
      await store(adapter, commitOf('x', 0, ['one'], { metadata }));
      const outcomes = await adapter.append([
        commitOf('a', 0),
        commitOf('x', 1, ['again'], { metadata }),
        commitOf('x', 2, ['upon it']),
        commitOf('b', 0),
      ]);
      const statuses = outcomes.map((outcome) => outcome.status);
      expect(statuses).to.deep.equal(['appended', 'duplicate', 'conflict', 'appended']);
      expect(outcomes[2]).to.deep.include({ expectedVersion: 2, actualVersion: 1 });
      expect((await collect(adapter.readAll())).map(positionOf)).to.deep.equal([1, 2, 3]);
    });

    it('finds the stored commands of a list of ids, and no others', async () => {
      const { adapter, peer } = opened();
      const [one, two] = [commitOf('a', 0, ['x', 'y', 'z']), commitOf('b', 0)];
      const events = await store(adapter, one, two);
      await adapter.append([commitOf('a', 1, ['conflict'], { metadata: metadataOf('not stored') })]);
      const found = await peer.findByCommand([one.metadata.commandId, 'not stored', two.metadata.commandId, 'unknown']);
      expect(Object.fromEntries(found)).to.deep.equal({
        [one.metadata.commandId]: { commandDigest: one.commandDigest, events: events.slice(0, 3) },
        [two.metadata.commandId]: { commandDigest: two.commandDigest, events: events.slice(3) },
      });
    });
  });
};
