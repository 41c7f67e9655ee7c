import { expect } from 'chai';
import { inspect } from 'node:util';
import type { Delivery, MessageProperties } from '../../../src/messaging/message-bus.js';
import { firstPlace, parkMessage, retriesOf, retryMessage } from '../../../src/messaging/republish.js';

const deliveryWith = (properties: MessageProperties, retries = 0): Delivery => ({
  queue: 'commands',
  exchange: 'commands',
  routingKey: 'user.create',
  body: Buffer.from('{}'),
  properties,
  redelivered: true,
  retries,
  deliveryCount: 0,
});

const why = {
  reason: 'SCHEMA',
  cause: new Error('name is missing'),
  at: new Date('2026-01-31T12:00:00Z'),
  id: 'p-1',
} as const;

describe('publishing a received message again', () => {
  const kept: MessageProperties = {
    messageId: 'm-1',
    correlationId: 'c-1',
    replyTo: 'amq.rabbitmq.reply-to.x',
    type: 'user.create',
    timestamp: 1_700_000_000,
    contentType: 'application/json',
    contentEncoding: 'identity',
    appId: 'shop',
    priority: 3,
  };

  /** Where the delivery was published first, which the way through other exchanges would hide. */
  const from = { 'original-exchange': 'commands', 'original-routing-key': 'user.create' };

  it('retries by the exchange of the delay, to the queue it came from, and asks to be told if that is gone', () => {
    const message = retryMessage(deliveryWith(kept), 5000);
    expect(message).to.include({ exchange: 'retry.5s', routingKey: 'commands', mandatory: true });
    expect(message.body.toString()).to.equal('{}');
    expect(message.properties).to.deep.equal({ ...kept, headers: { ...from, 'retry-attempt': 1 } });
  });

  it('counts attempts on', () => {
    const again = deliveryWith({ headers: { 'retry-attempt': 2, traceparent: 't' } }, 2);
    expect(retryMessage(again, 1000).properties.headers).to.deep.equal({
      ...from,
      traceparent: 't',
      'retry-attempt': 3,
    });
  });

  it('parks in the parked queue of its queue, with reason, error, time, attempts and queue', () => {
    const message = parkMessage(deliveryWith({ ...kept, headers: { traceparent: 't' } }, 2), why);
    expect(message).to.include({ exchange: '', routingKey: 'commands.parked', mandatory: true });
    expect(message.properties).to.deep.equal({
      ...kept,
      headers: {
        ...from,
        traceparent: 't',
        'parked-id': 'p-1',
        'parked-reason': 'SCHEMA',
        'parked-error': 'name is missing',
        'parked-at': '2026-01-31T12:00:00.000Z',
        'parked-attempts': 3,
        'parked-queue': 'commands',
      },
    });
  });

  it('moves what would act again to headers original-*', () => {
    const received = deliveryWith({
      expiration: '1000',
      userId: 'ann',
      headers: { 'x-death': [{ count: 3 }], CC: ['a'], BCC: ['b'], 'X-Mine': 1, cc: 2 },
    });
    for (const message of [retryMessage(received, 1000), parkMessage(received, why)]) {
      expect(message.properties).to.have.all.keys('headers');
      expect(message.properties.headers).not.to.have.any.keys('x-death', 'CC', 'BCC');
      expect(message.properties.headers).to.deep.include({
        'original-expiration': '1000',
        'original-user-id': 'ann',
        'original-x-death': [{ count: 3 }],
        'original-CC': ['a'],
        'original-BCC': ['b'],
        'X-Mine': 1,
        cc: 2,
      });
    }
  });

  it('keeps the original of the first time when it is published again and again', () => {
    const twice = deliveryWith({ headers: { 'original-x-death': 'first', 'x-death': 'second' } });
    expect(retryMessage(twice, 1000).properties.headers).to.deep.equal({
      ...from,
      'original-x-death': 'first',
      'retry-attempt': 1,
    });
  });

  it('keeps where a message was published first; one that came straight to its queue needs no word of it', () => {
    const { headers } = retryMessage(deliveryWith({}), 1000).properties;
    expect(firstPlace({ exchange: '', routingKey: 'commands' }, headers)).to.deep.equal({
      exchange: 'commands',
      routingKey: 'user.create',
    });
    const straight = { ...deliveryWith({}), exchange: '', routingKey: 'commands' };
    expect(retryMessage(straight, 1000).properties.headers).to.deep.equal({ 'retry-attempt': 1 });
    expect(firstPlace(straight, { 'original-exchange': 3 })).to.deep.include({ exchange: '', routingKey: 'commands' });
  });

  it('replaces what an earlier parking said', () => {
    const redriven = deliveryWith({ headers: { 'parked-reason': 'INVALID_JSON' } });
    expect(parkMessage(redriven, why).properties.headers).to.include({ 'parked-reason': 'SCHEMA' });
  });

  it('takes off what an earlier parking said when a message that was sent back to work is retried', () => {
    const parked = { 'parked-id': 'p-0', 'parked-reason': 'SCHEMA', 'parked-at': 'then', 'parked-behind': 'e-1' };
    const redriven = deliveryWith({ headers: { ...parked, tenant: 't-1' } });
    expect(retryMessage(redriven, 1000).properties.headers).to.deep.equal({
      ...from,
      tenant: 't-1',
      'retry-attempt': 1,
    });
  });

  it('comes back a little earlier where it is told so, whatever time the sender gave it', () => {
    const received = deliveryWith({ expiration: '7' });
    expect(retryMessage(received, 1000, 900).properties).to.deep.include({ expiration: '900' });
    expect(retryMessage(received, 1000).properties).to.not.have.any.keys('expiration');
  });

  it('cuts an error at 4096 bytes, between characters, and leaves out its stack', () => {
    const cause = new Error(`a${'é'.repeat(4000)}`);
    const error = String(parkMessage(deliveryWith({}), { ...why, cause }).properties.headers?.['parked-error']);
    expect(error).to.equal(`a${'é'.repeat(2047)}`);
    const exact = parkMessage(deliveryWith({}), { ...why, cause: new Error('x'.repeat(4096)) });
    expect(exact.properties.headers?.['parked-error']).to.equal('x'.repeat(4096));
  });

  it('names an error that has no text', () => {
    const message = parkMessage(deliveryWith({}), { ...why, cause: new RangeError() });
    expect(message.properties.headers).to.include({ 'parked-error': 'RangeError' });
  });

  for (const forged of [undefined, -1, 1.5, '3', null, {}, Number.NaN, Number.POSITIVE_INFINITY]) {
    it(`takes ${inspect(forged)} in the retry header for no attempt`, () => {
      expect(retriesOf({ 'retry-attempt': forged })).to.equal(0);
    });
  }

  it('reads the attempts before this one', () => {
    expect(retriesOf({ 'retry-attempt': 3 })).to.equal(3);
    expect(retriesOf(undefined)).to.equal(0);
  });
});
