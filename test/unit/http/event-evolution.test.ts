import { expect } from 'chai';
import { indexDomains } from '../../../src/core/domain.js';
import type { RecordedEvent } from '../../../src/core/message.js';
import { noteDomain, storedNote } from '../../helpers/evolved-domain.js';
import { makeFixture, type Fixture } from './http-fixture.js';

type Page = { readonly items: readonly RecordedEvent[]; readonly next: string | null };

const get = async (fixture: Fixture, url: string) => {
  const response = await fixture.app.inject({ method: 'GET', url });
  return { status: response.statusCode, body: response.json<Page>() };
};

const at = (position: number, type: string, payload: object, schemaVersion = 1): RecordedEvent => ({
  ...storedNote(type, payload, schemaVersion),
  id: `e-${position}`,
  version: position,
  position,
});

/** One stream: a rename, a split, a drop, one that nobody knows, a current one. */
const withHistory = (): Fixture => {
  const fixture = makeFixture({ domains: indexDomains([noteDomain]) });
  fixture.events.push(
    at(1, 'note.named', { name: 'A' }),
    at(2, 'note.filed', { title: 'B', shelf: 's-1' }),
    at(3, 'note.touched', {}),
    at(4, 'note.flown', { far: true }, 9),
    at(5, 'note.moved', { shelf: 's-2' }),
  );
  return fixture;
};

const inShort = ({ items, next }: Page) => [
  ...items.map(({ id, type, schemaVersion }) => `${id} ${type}@${schemaVersion}`),
  next,
];

describe('old events over HTTP', () => {
  for (const path of ['/events', '/streams/note/n-1']) {
    const parameter = path === '/events' ? 'after' : 'afterVersion';

    it(`GET ${path} shows what they are now, and as it is stored what nobody knows`, async () => {
      const { body } = await get(withHistory(), path);
      expect(inShort(body)).to.deep.equal([
        'e-1 note.titled@2',
        'e-2 note.titled@2',
        'e-2#2 note.moved@1',
        'e-4 note.flown@9',
        'e-5 note.moved@1',
        null,
      ]);
      expect(body.items.map(({ payload }) => payload).slice(0, 4)).to.deep.equal([
        { title: 'A', language: 'en' },
        { title: 'B', language: 'en' },
        { shelf: 's-1' },
        { far: true },
      ]);
    });

    it(`GET ${path} counts pages by what is stored, and cuts none of it in two`, async () => {
      const fixture = withHistory();
      const pages: unknown[] = [];
      let next: string | null = '0';
      while (next !== null) {
        const { body }: { body: Page } = await get(fixture, `${path}?limit=1&${parameter}=${next}`);
        pages.push(inShort(body));
        ({ next } = body);
      }
      expect(pages).to.deep.equal([
        ['e-1 note.titled@2', '1'],
        ['e-2 note.titled@2', 'e-2#2 note.moved@1', '2'],
        ['3'],
        ['e-4 note.flown@9', '4'],
        ['e-5 note.moved@1', null],
      ]);
    });
  }

  it('GET /events finds them by the type that they were stored under', async () => {
    const fixture = withHistory();
    expect(inShort((await get(fixture, '/events?type=note.filed')).body)).to.deep.equal([
      'e-2 note.titled@2',
      'e-2#2 note.moved@1',
      null,
    ]);
    expect(inShort((await get(fixture, '/events?type=note.moved')).body)).to.deep.equal(['e-5 note.moved@1', null]);
  });

  it('waits for a read model up to events of old types too', async () => {
    const fixture = withHistory();
    await fixture.putDocument('notes', { _id: 'n-1', version: 4, title: 'A' });
    expect((await get(fixture, '/notes?afterPosition=3')).status).to.equal(200);
    await fixture.putDocument('notes', { _id: 'n-1', version: 1, title: 'A' });
    expect((await get(fixture, '/notes?afterPosition=3')).status).to.equal(504);
  });

  it('does not show a document that says nothing yet, and pages over it', async () => {
    const fixture = withHistory();
    await fixture.putDocument('notes', { _id: 'n-1', version: 1, title: 'A' });
    await fixture.putDocument('notes', { _id: 'n-2', version: 1 });
    await fixture.putDocument('notes', { _id: 'n-3', version: 1, title: 'C' });
    expect((await get(fixture, '/notes/n-2')).status).to.equal(404);
    expect((await get(fixture, '/notes/n-1')).status).to.equal(200);
    const { body } = await get(fixture, '/notes?limit=2');
    expect(body.items).to.deep.equal([{ id: 'n-1', version: 1, title: 'A' }]);
    const { body: rest } = await get(fixture, `/notes?limit=2&cursor=${body.next ?? ''}`);
    expect(rest).to.deep.equal({ items: [{ id: 'n-3', version: 1, title: 'C' }], next: null });
  });
});
