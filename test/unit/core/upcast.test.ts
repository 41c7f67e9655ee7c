import { expect } from 'chai';
import type { RecordedEvent } from '../../../src/core/message.js';
import { currentOf, foldStored, shownAs, upcast } from '../../../src/core/upcast.js';
import type { Upcaster } from '../../../src/core/upcaster.js';
import { filed, noteDomain, storedNote } from '../../helpers/evolved-domain.js';

const inShort = (events: readonly RecordedEvent[]) =>
  events.map(({ id, type, schemaVersion, payload }) => [id, `${type}@${schemaVersion}`, payload]);

const withUpcasters = (...upcasters: readonly Upcaster[]) => ({ ...noteDomain, upcasters });

const movedOf = (...shelves: readonly string[]): Upcaster['upcast'] => {
  return () => shelves.map((shelf) => ({ type: 'note.moved', schemaVersion: 1, payload: { shelf } }));
};

describe('upcasting', () => {
  it('leaves an event of a current shape as it is', () => {
    const event = storedNote('note.titled', { title: 'A', language: 'de' }, 2);
    const [only, ...more] = currentOf(noteDomain, event);
    expect(only).to.equal(event);
    expect(more).to.deep.equal([]);
  });

  it('follows a chain until the event is current', () => {
    const event = storedNote('note.named', { name: 'A' });
    expect(inShort(currentOf(noteDomain, event))).to.deep.equal([
      ['e-7', 'note.titled@2', { title: 'A', language: 'en' }],
    ]);
  });

  it('makes several of one, in their order, each with an id of its own, and brings each to its current shape', () => {
    const event = storedNote('note.filed', { title: 'A', shelf: 's-1' });
    expect(inShort(currentOf(noteDomain, event))).to.deep.equal([
      ['e-7', 'note.titled@2', { title: 'A', language: 'en' }],
      ['e-7#2', 'note.moved@1', { shelf: 's-1' }],
    ]);
  });

  it('numbers what a split of a split gives through', () => {
    const both = { ...filed, type: 'note.both', into: [{ type: 'note.filed', schemaVersion: 1 }] };
    const twice: Upcaster = {
      ...both,
      upcast: ({ payload }) => [
        { type: 'note.filed', schemaVersion: 1, payload },
        { type: 'note.filed', schemaVersion: 1, payload },
      ],
    };
    const domain = withUpcasters(...(noteDomain.upcasters ?? []), twice);
    const ids = currentOf(domain, storedNote('note.both', { title: 'A', shelf: 's' })).map(({ id }) => id);
    expect(ids).to.deep.equal(['e-7', 'e-7#2', 'e-7#3', 'e-7#4']);
  });

  it('makes none of one that means nothing any more', () => {
    expect(currentOf(noteDomain, storedNote('note.touched', {}))).to.deep.equal([]);
  });

  it('keeps the place of the stored event: stream, version, position, metadata, time', () => {
    const stored = storedNote('note.filed', { title: 'A', shelf: 's-1' });
    for (const event of currentOf(noteDomain, stored)) {
      const { id, type, schemaVersion, payload, ...place } = event;
      expect({ ...stored, ...place }).to.deep.equal(stored);
    }
  });

  it('shows an upcaster the event, its payload and its place', () => {
    const seen: RecordedEvent[] = [];
    const spy: Upcaster = { ...filed, upcast: (event) => (seen.push(event), []) };
    const stored = storedNote('note.filed', {});
    currentOf(withUpcasters(spy), stored);
    expect(seen).to.deep.equal([stored]);
  });
});

describe('an event that nobody knows', () => {
  const whyOf = (type: string, schemaVersion: number) => {
    const result = upcast(noteDomain, storedNote(type, {}, schemaVersion));
    return result.known ? 'known' : result.why;
  };

  it('is newer where this code knows the type in an older version only, else unknown', () => {
    expect(whyOf('note.titled', 3)).to.equal('newer');
    expect(whyOf('note.named', 2)).to.equal('newer');
    expect(whyOf('note.moved', 0)).to.equal('unknown');
    expect(whyOf('note.flown', 1)).to.equal('unknown');
    for (const type of ['constructor', '__proto__', 'toString', '']) expect(whyOf(type, 1)).to.equal('unknown');
  });

  it('is an error that names type, schema version, position and stream', () => {
    const error: unknown = (() => {
      try {
        return currentOf(noteDomain, storedNote('note.flown', {}, 4));
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).to.include({ code: 'UNKNOWN_EVENT' });
    for (const part of ['note.flown', 'schema version 4', 'position 7', 'note/n-1', 'version 3']) {
      expect((error as Error).message).to.include(part);
    }
  });

  it('is shown as it is stored where the reader asks for that, as is one of no domain', () => {
    const domains = { ofAggregate: (type: string) => (type === 'note' ? noteDomain : undefined) };
    const flown = storedNote('note.flown', { far: true });
    const foreign = { ...storedNote('note.named', { name: 'A' }), aggregateType: 'other' };
    expect(shownAs(domains, flown)).to.deep.equal([flown]);
    expect(shownAs(domains, foreign)).to.deep.equal([foreign]);
    expect(inShort(shownAs(domains, storedNote('note.named', { name: 'A' })))).to.deep.equal([
      ['e-7', 'note.titled@2', { title: 'A', language: 'en' }],
    ]);
  });
});

describe('an upcaster that is wrong', () => {
  const broken = (upcaster: Partial<Upcaster>) =>
    upcast(withUpcasters({ ...filed, ...upcaster }), storedNote('note.filed', {}));

  it('is at fault with its event: an exception is no crash, and names the event', () => {
    const failing = () => {
      throw new Error('no title');
    };
    const result = broken({ upcast: failing });
    expect(result).to.include({ known: false, why: 'broken' });
    const { message } = result as { message: string };
    for (const part of ['note.filed', 'position 7', 'no title']) expect(message).to.include(part);
  });

  it('may give only what it declares', () => {
    const into = [{ type: 'note.titled', schemaVersion: 2 }];
    expect(broken({ into, upcast: movedOf('s') })).to.include({ known: false, why: 'broken' });
    expect(broken({ into: [], upcast: movedOf('s') })).to.include({ known: false, why: 'broken' });
    expect(broken({ upcast: movedOf('s', 't') })).to.include({ known: true });
  });
});

describe('fold of stored events', () => {
  it('gives the state that current events would have given', () => {
    const events = [
      storedNote('note.touched', {}),
      storedNote('note.filed', { title: 'A', shelf: 's-1' }),
      storedNote('note.named', { name: 'B' }),
      storedNote('note.moved', { shelf: 's-2' }),
    ];
    expect(foldStored(noteDomain, {}, events)).to.deep.equal({ title: 'B', language: 'en', shelf: 's-2' });
    expect(foldStored(noteDomain, { title: 'Z' }, events.slice(3))).to.deep.equal({ title: 'Z', shelf: 's-2' });
  });

  it('refuses what nobody knows', () => {
    expect(() => foldStored(noteDomain, {}, [storedNote('note.flown', {})]))
      .to.throw()
      .that.includes({ code: 'UNKNOWN_EVENT' });
  });
});
