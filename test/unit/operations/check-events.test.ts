import { expect } from 'chai';
import { indexDomains } from '../../../src/core/domain.js';
import { makeMemoryEventStore } from '../../../src/event-store/memory-event-store.js';
import { checkEvents } from '../../../src/operations/check-events.js';
import { store } from '../../contract/event-store-fixtures.js';
import { noteDomain, oldCommit } from '../../helpers/evolved-domain.js';
import { tallyDomain } from '../../helpers/tally-domain.js';

describe('check of stored events', () => {
  it('lists each type and schema version by name, with its path or none', async () => {
    let last = 0;
    const eventStore = makeMemoryEventStore({ now: () => new Date(0), newId: () => `id-${(last += 1)}` });
    await store(
      eventStore,
      oldCommit('n-1', 0, ['note.titled', {}, 10], ['note.titled', {}, 2], ['note.touched', {}], ['other.done', {}]),
      oldCommit('n-2', 0, ['note.titled', {}, 1], ['note.titled', {}, 2], ['note.touched', {}, 2]),
    );
    const shapes = await checkEvents({ domains: indexDomains([tallyDomain, noteDomain]), eventStore });
    const at = (type: string, schemaVersion: number, count: number, firstPosition: number, lastPosition: number) => {
      return { type, schemaVersion, count, firstPosition, lastPosition };
    };
    expect(shapes).to.deep.equal([
      { ...at('note.titled', 1, 1, 5, 5), path: 'note.titled@1 → note.titled@2' },
      { ...at('note.titled', 2, 2, 2, 6), path: 'current' },
      { ...at('note.titled', 10, 1, 1, 1), path: null },
      { ...at('note.touched', 1, 1, 3, 3), path: 'note.touched@1 → nothing' },
      { ...at('note.touched', 2, 1, 7, 7), path: null },
      { ...at('other.done', 1, 1, 4, 4), path: null },
    ]);
  });
});
