import { expect } from 'chai';
import fc from 'fast-check';
import { orderDomain } from '../../../../src/domains/order/domain.js';
import { cancelOrder, createOrder, deliverOrder, payOrder, shipOrder } from '../../../../src/domains/order/messages.js';
import { orderHistories } from '../../../helpers/order-histories.js';

const line = { sku: 'cup', quantity: 3, unitPriceCents: 450 };
const cart = { customerId: 'u-1', currency: 'EUR', lines: [line] };
const withLine = (change: object) => ({ ...cart, lines: [{ ...line, ...change }] });
const payment = { paymentId: 'p-1', amountCents: 1 };
const parcel = { carrier: 'post', trackingNumber: 't-1' };

describe('payloads of order commands', () => {
  const rows = [
    ['order.create', createOrder, 'customer, currency and lines', cart, true],
    ['order.create', createOrder, '5,000 lines', { ...cart, lines: Array.from({ length: 5000 }, () => line) }, true],
    ['order.create', createOrder, 'no lines', { ...cart, lines: [] }, false],
    ['order.create', createOrder, 'a customer id with $ and /', { ...cart, customerId: '$u/1.' }, true],
    ['order.create', createOrder, 'an empty customer id', { ...cart, customerId: '' }, false],
    ['order.create', createOrder, 'a customer id with a NUL', { ...cart, customerId: 'u\u0000' }, false],
    ['order.create', createOrder, 'a customer id of 201 characters', { ...cart, customerId: 'u'.repeat(201) }, false],
    ['order.create', createOrder, 'a currency in lower case', { ...cart, currency: 'eur' }, false],
    ['order.create', createOrder, 'a currency of four letters', { ...cart, currency: 'EURO' }, false],
    ['order.create', createOrder, 'a currency with a line break', { ...cart, currency: 'EUR\n' }, false],
    ['order.create', createOrder, 'a quantity of 0', withLine({ quantity: 0 }), false],
    ['order.create', createOrder, 'half a quantity', withLine({ quantity: 0.5 }), false],
    ['order.create', createOrder, 'a price of 0', withLine({ unitPriceCents: 0 }), false],
    ['order.create', createOrder, 'a price below 0', withLine({ unitPriceCents: -1 }), false],
    ['order.create', createOrder, 'a price with a fraction', withLine({ unitPriceCents: 4.5 }), false],
    ['order.create', createOrder, 'a price as text', withLine({ unitPriceCents: '450' }), false],
    ['order.create', createOrder, 'a price of 2^53 - 1', withLine({ unitPriceCents: 2 ** 53 - 1 }), true],
    ['order.create', createOrder, 'a price of 2^53', withLine({ unitPriceCents: 2 ** 53 }), false],
    ['order.create', createOrder, 'an unknown key in a line', withLine({ discount: 1 }), false],
    ['order.create', createOrder, 'a total', { ...cart, totalCents: 1350 }, false],
    ['order.pay', payOrder, 'payment and amount', payment, true],
    ['order.pay', payOrder, 'an amount of 0', { ...payment, amountCents: 0 }, false],
    ['order.pay', payOrder, 'an amount with a fraction', { ...payment, amountCents: 1.5 }, false],
    ['order.pay', payOrder, 'no payment', { amountCents: 1 }, false],
    ['order.pay', payOrder, 'an unknown key', { ...payment, currency: 'EUR' }, false],
    ['order.ship', shipOrder, 'carrier and tracking number', parcel, true],
    ['order.ship', shipOrder, 'no tracking number', { carrier: 'post' }, false],
    ['order.ship', shipOrder, 'an unknown key', { ...parcel, weight: 1 }, false],
    ['order.deliver', deliverOrder, 'nothing', {}, true],
    ['order.deliver', deliverOrder, 'a time', { at: 'now' }, false],
    ['order.cancel', cancelOrder, 'a reason of 1000 characters', { reason: 'r'.repeat(1000) }, true],
    ['order.cancel', cancelOrder, 'a reason of 1001 characters', { reason: 'r'.repeat(1001) }, false],
    ['order.cancel', cancelOrder, 'no reason', {}, false],
    ['order.cancel', cancelOrder, 'an unknown key', { reason: 'r', by: 'ann' }, false],
  ] as const;
  for (const [type, schema, what, payload, taken] of rows) {
    it(`${type} ${taken ? 'takes' : 'refuses'} ${what}`, () => {
      const parsed = schema.safeParse(payload);
      expect(parsed.success).to.equal(taken);
      if (taken) expect(parsed.data).to.deep.equal(payload);
    });
  }

  it('lead to events that satisfy their own schemas', () => {
    fc.assert(
      fc.property(orderHistories, (history) => {
        for (const { type, payload } of history) {
          expect(orderDomain.events[type]?.schema.parse(payload)).to.deep.equal(payload);
        }
      }),
    );
  });
});
