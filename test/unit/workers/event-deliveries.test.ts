import { expect } from 'chai';
import { z } from 'zod';
import { eventsIn, readEvents } from '../../../src/workers/event-deliveries.js';
import { deliveryOf, outcomeInShort } from '../../helpers/memory-system.js';
import { recorded } from '../../helpers/order-histories.js';

const events = recorded('user', [
  ['u-1', { type: 'user.created', payload: { name: 'Ann' } }],
  ['u-1', { type: 'user.renamed', payload: {} }],
]);
const [first, second] = events.map((event) => deliveryOf(event, 'store-1'));
if (!first || !second) throw new Error('two were recorded');

const known = { schema: z.looseObject({}), schemaVersion: 1 };

describe('deliveries of events', () => {
  it('gives the events, in order', () => {
    expect(eventsIn(readEvents([second, first], 'store-1', () => known))).to.deep.equal([...events].reverse());
  });

  it('parks what carries no event of ours, each for its reason, and keeps the places of the others', () => {
    const batch = [
      { ...first, body: Buffer.from('{') },
      first,
      { ...first, body: Buffer.from('{}') },
      deliveryOf(events[0] ?? (events[1] as never), 'store-2'),
      second,
    ];
    const read = readEvents(batch, 'store-1', ({ type }) => (type === 'user.created' ? known : undefined));
    expect(read.map((each) => (each.ok ? each.event.position : outcomeInShort(each.outcome)))).to.deep.equal([
      'park INVALID_JSON',
      1,
      'park SCHEMA',
      'park FOREIGN_EVENT',
      'park UNKNOWN_EVENT',
    ]);
  });

  it('calls an event foreign before it calls it unknown, since another store may have other types', () => {
    const [read] = readEvents([second], 'store-2', () => undefined);
    expect(read && !read.ok && outcomeInShort(read.outcome)).to.equal('park FOREIGN_EVENT');
  });

  it('parks an event whose payload is not that of its type', () => {
    const [read] = readEvents([first], 'store-1', () => ({ ...known, schema: z.strictObject({ email: z.string() }) }));
    expect(read && !read.ok && outcomeInShort(read.outcome)).to.equal('park SCHEMA');
  });

  it('leaves an event of another schema version to a newer process', () => {
    const [read] = readEvents([first], 'store-1', () => ({ ...known, schemaVersion: 2 }));
    expect(read && !read.ok && read.outcome.do).to.equal('retry');
  });
});
