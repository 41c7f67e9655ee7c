import { expect } from 'chai';
import type { Delivery, MessageProperties } from '../../../src/messaging/message-bus.js';
import { moveMessage, readParked, replayMessage } from '../../../src/messaging/parked-message.js';

const inQueue = (queue: string, properties: MessageProperties): Delivery => ({
  queue,
  exchange: '',
  routingKey: 'commands.parked',
  body: Buffer.from('{}'),
  properties,
  redelivered: false,
  retries: 0,
  deliveryCount: 0,
});

const death = {
  reason: 'delivery_limit',
  queue: 'commands',
  time: { value: 1_769_860_800 },
  exchange: 'commands',
  'routing-keys': ['user.create'],
  count: 1,
};
const forged = { 'parked-reason': 'SCHEMA', 'parked-id': 'forged', 'parked-error': 'forged', 'parked-attempts': 9 };

/** To the holding queue and back. */
const movedTwice = (properties: MessageProperties): Delivery => {
  const there = moveMessage(inQueue('commands.parked', properties), 'commands.parked.moving');
  const back = moveMessage(inQueue('commands.parked.moving', there.properties), 'commands.parked');
  return inQueue('commands.parked', back.properties);
};
const read = (delivery: Delivery) => readParked({ ...delivery, place: 0 });

describe('moving a parked message', () => {
  it('keeps what the broker said of it, not what its sender did, and where it was published first', () => {
    const properties = { messageId: 'm-1', headers: { ...forged, tenant: 't-1', 'x-death': [death] } };
    const moved = read(movedTwice(properties));
    expect(moved).to.deep.include({
      key: read(inQueue('commands.parked', properties)).key,
      reason: 'DELIVERY_LIMIT',
      type: 'user.create',
      error: null,
      at: new Date('2026-01-31T12:00:00Z'),
      attempts: null,
    });
    expect(moved.held.properties.headers).to.deep.include({ tenant: 't-1', 'parked-queue': 'commands' });
    expect(replayMessage(moved, 'commands').properties.headers).to.include({
      'original-exchange': 'commands',
      'original-routing-key': 'user.create',
    });
  });

  it('gives two that are alike, and have no id, keys of their own', () => {
    const key = () => read(movedTwice({ headers: { 'x-death': [death] } })).key;
    expect(key()).not.to.equal(key());
  });

  it('leaves our own parking as it is, and the message of a work queue unparked', () => {
    const ours = { 'parked-id': 'p-1', 'parked-reason': 'SCHEMA', 'original-x-death': [death] };
    expect(movedTwice({ headers: { ...ours, 'x-delivery-count': 2 } }).properties.headers).to.deep.equal(ours);
    const work = moveMessage(inQueue('commands', { headers: { 'x-death': [death] } }), 'commands.moving');
    expect(work.properties.headers).to.deep.equal({ 'original-x-death': [death] });
  });
});
