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

/** The first event, in another schema version. */
const firstAt = (schemaVersion: number) => deliveryOf({ ...(events[0] ?? expect.fail()), schemaVersion }, 'store-1');

const defined = (schemaVersion: number, schema: z.ZodType = z.looseObject({})) => ({
  aggregateType: 'user',
  events: { 'user.created': { schema, schemaVersion }, 'user.renamed': { schema, schemaVersion } },
});
const known = defined(1);

describe('deliveries of events', () => {
  it('gives the events, in order', () => {
    expect(eventsIn(readEvents([second, first], 'store-1', () => known))).to.deep.equal([...events].reverse());
  });

  it('gives those too that nobody here knows any more or yet, since what is behind them waits', () => {
    for (const schemaVersion of [1, 3]) {
      const read = readEvents([firstAt(schemaVersion)], 'store-1', () => defined(2));
      expect(read.map(({ ok }) => ok)).to.deep.equal([false]);
      expect(eventsIn(read).map(({ id }) => id)).to.deep.equal([events[0]?.id]);
    }
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
    const [read] = readEvents([first], 'store-1', () => defined(1, z.strictObject({ email: z.string() })));
    expect(read && !read.ok && outcomeInShort(read.outcome)).to.equal('park SCHEMA');
  });

  it('parks an event of an older schema version that no upcaster leads from, and says so', () => {
    const [read] = readEvents([first], 'store-1', () => defined(2));
    expect(read && !read.ok && outcomeInShort(read.outcome)).to.equal('park UNKNOWN_EVENT');
    expect(read && !read.ok && read.outcome.do === 'park' && read.outcome.cause.message).to.include('no upcaster');
  });

  it('gives the event as it is stored and what it is now, which must be as the schemas of now say', () => {
    const upcasters = [
      {
        type: 'user.renamed',
        schemaVersion: 1,
        into: [{ type: 'user.created', schemaVersion: 2 }],
        upcast: () => [{ type: 'user.created', schemaVersion: 2, payload: { email: 'a' } }],
      },
    ];
    const read = (schema: z.ZodType) =>
      readEvents([second], 'store-1', () => ({ ...defined(2, schema), upcasters })).map((each) =>
        each.ok ? [each.event, each.current.map(({ type }) => type)] : outcomeInShort(each.outcome),
      );
    expect(read(z.strictObject({ email: z.string() }))).to.deep.equal([[events[1], ['user.created']]]);
    expect(read(z.strictObject({}))).to.deep.equal(['park SCHEMA']);
  });

  it('retries an event whose upcaster fails, alone', () => {
    const fails = () => {
      throw new Error('broken');
    };
    const domain = { ...defined(2), upcasters: [{ type: 'user.renamed', schemaVersion: 1, upcast: fails }] };
    const read = readEvents([second, firstAt(2)], 'store-1', () => domain);
    expect(read.map((each) => (each.ok ? 'ok' : each.outcome.do))).to.deep.equal(['retry', 'ok']);
  });

  it('leaves an event of a newer schema version to a newer process', () => {
    const [read] = readEvents([first], 'store-1', () => defined(1));
    expect(read?.ok).to.equal(true);
    const [newer] = readEvents([firstAt(2)], 'store-1', () => defined(1));
    expect(newer && !newer.ok && outcomeInShort(newer.outcome)).to.match(/^retry: .*user\.created, schema version 2/);
  });
});
