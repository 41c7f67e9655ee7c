import { expect } from 'chai';
import fc from 'fast-check';
import { fromCloudEvent, toCloudEvent } from '../../../src/core/cloud-event.js';
import type { RecordedEvent } from '../../../src/core/message.js';

const event: RecordedEvent = {
  id: 'e-1',
  type: 'user.created',
  payload: { email: 'ann@example.org', name: 'Ann' },
  aggregateType: 'user',
  aggregateId: 'u-1',
  version: 2,
  position: 17,
  schemaVersion: 1,
  metadata: { commandId: 'c-1', correlationId: 'k-1', causationId: 'x-1', traceparent: '00-a-b-01' },
  timestamp: new Date('2026-01-31T12:00:00.000Z'),
};

const wire = toCloudEvent(event, 'store-1');

const read = (body: unknown) => fromCloudEvent(Buffer.from(JSON.stringify(body)));

describe('event on the wire', () => {
  it('is a CloudEvent with the attributes of the contract', () => {
    expect(wire).to.deep.equal({
      specversion: '1.0',
      id: 'e-1',
      source: '/warren/user',
      type: 'user.created',
      subject: 'u-1',
      time: '2026-01-31T12:00:00.000Z',
      datacontenttype: 'application/json',
      data: { email: 'ann@example.org', name: 'Ann' },
      aggregatetype: 'user',
      aggregateversion: 2,
      position: 17,
      schemaversion: 1,
      commandid: 'c-1',
      correlationid: 'k-1',
      causationid: 'x-1',
      traceparent: '00-a-b-01',
      storeid: 'store-1',
    });
  });

  it('leaves out a traceparent that there is not, and never tells the actor', () => {
    const { traceparent, ...metadata } = event.metadata;
    const plain = toCloudEvent({ ...event, metadata: { ...metadata, actor: 'ann' } }, 'store-1');
    expect(plain).not.to.have.any.keys('traceparent', 'actor');
    expect(Object.keys(plain)).to.satisfy((keys: string[]) => keys.every((key) => /^[a-z]+$/.test(key)));
  });

  it('comes back as the event that it was', () => {
    const id = fc.string({ minLength: 1, unit: 'grapheme' });
    const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
    const events = fc.record({
      id,
      type: id,
      payload: fc.jsonValue(),
      aggregateType: id,
      aggregateId: id,
      version: count,
      position: count,
      schemaVersion: count,
      metadata: fc.record(
        { commandId: id, correlationId: id, causationId: id, traceparent: id },
        { requiredKeys: ['commandId', 'correlationId', 'causationId'] },
      ),
      timestamp: fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true }),
    }) as fc.Arbitrary<RecordedEvent>;
    fc.assert(
      fc.property(events, id, (given, storeId) => {
        // What JSON cannot tell apart (-0) is not the wire's to keep.
        const sent = JSON.parse(JSON.stringify(given.payload)) as unknown;
        const parsed = read(toCloudEvent(given, storeId));
        expect(parsed).to.deep.equal({ ok: true, storeId, event: { ...given, payload: sent } });
      }),
    );
  });

  it('reads a body that lies within a larger buffer', () => {
    const body = Buffer.from(`xx${JSON.stringify(wire)}xx`);
    expect(fromCloudEvent(new Uint8Array(body.buffer, body.byteOffset + 2, body.length - 4)).ok).to.equal(true);
  });

  it('takes attributes that it does not know, since CloudEvents may carry more', () => {
    expect(read({ ...wire, partitionkey: 'x' })).to.deep.equal({ ok: true, storeId: 'store-1', event });
  });

  it('refuses what is not JSON', () => {
    expect(fromCloudEvent(Buffer.from('{'))).to.include({ ok: false, reason: 'INVALID_JSON' });
    expect(fromCloudEvent(Buffer.alloc(0))).to.include({ ok: false, reason: 'INVALID_JSON' });
  });

  it('refuses every attribute that is missing or wrong, naming it', () => {
    for (const [key, wrong] of [
      ['specversion', '0.3'],
      ['id', ''],
      ['source', 7],
      ['type', ''],
      ['subject', ''],
      ['time', 'yesterday'],
      ['datacontenttype', 'text/plain'],
      ['aggregatetype', ''],
      ['aggregateversion', 0],
      ['position', 0],
      ['position', 1.5],
      ['schemaversion', '1'],
      ['commandid', null],
      ['correlationid', null],
      ['causationid', null],
      ['traceparent', 7],
      ['storeid', null],
    ] as const) {
      const parsed = read({ ...wire, [key]: wrong });
      expect(parsed, key).to.include({ ok: false, reason: 'SCHEMA' });
      expect(parsed.ok ? '' : parsed.message).to.include(key);
      if (key !== 'traceparent') expect(read({ ...wire, [key]: undefined }), key).to.include({ reason: 'SCHEMA' });
    }
    for (const body of [null, [], 'x', {}]) expect(read(body)).to.include({ ok: false, reason: 'SCHEMA' });
  });
});
