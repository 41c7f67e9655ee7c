import { expect } from 'chai';
import type { ConsumeMessage } from 'amqplib';
import { toDelivery } from '../../../../src/messaging/rabbitmq/delivery.js';

describe('a delivery of RabbitMQ', () => {
  const deliveryWith = (headers?: Record<string, unknown>) =>
    toDelivery('q', {
      content: Buffer.from('x'),
      fields: { exchange: '', routingKey: 'q', redelivered: true, deliveryTag: 1, consumerTag: 'c' },
      properties: { headers, messageId: 'm-1', replyTo: undefined },
    } as unknown as ConsumeMessage);

  it('says how often it was brought before without an answer', () => {
    expect(deliveryWith({ 'x-delivery-count': 4 }).deliveryCount).to.equal(4);
    expect(deliveryWith({}).deliveryCount).to.equal(0);
    expect(deliveryWith().deliveryCount).to.equal(0);
  });

  for (const forged of ['4', -1, null, Number.NaN]) {
    it(`takes ${String(forged)} (${typeof forged}) for no count`, () => {
      expect(deliveryWith({ 'x-delivery-count': forged }).deliveryCount).to.equal(0);
    });
  }

  it('has no properties that are not set', () => {
    expect(deliveryWith().properties).to.deep.equal({ messageId: 'm-1' });
  });
});
