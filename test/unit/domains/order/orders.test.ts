import { expect } from 'chai';
import { foldKeyed } from '../../../../src/core/fold-projection.js';
import type { OrderEvent } from '../../../../src/domains/order/messages.js';
import { orders } from '../../../../src/domains/order/orders.js';
import { recorded } from '../../../helpers/order-histories.js';

const created: OrderEvent = {
  type: 'order.created',
  payload: {
    customerId: 'u-1',
    currency: 'EUR',
    lines: [{ sku: 'cup', quantity: 2, unitPriceCents: 450 }],
    totalCents: 900,
  },
};
const paid: OrderEvent = { type: 'order.paid', payload: { paymentId: 'p-1', amountCents: 900 } };
const shipped: OrderEvent = { type: 'order.shipped', payload: { carrier: 'post', trackingNumber: 't-1' } };
const delivered: OrderEvent = { type: 'order.delivered', payload: {} };
const cancelled: OrderEvent = { type: 'order.cancelled', payload: { reason: 'too late' } };

const documentAfter = (...events: readonly OrderEvent[]) =>
  foldKeyed(
    orders,
    new Map(),
    recorded(
      'order',
      events.map((event) => ['o-1', event] as const),
    ),
  ).writes[0]?.document;

const start = {
  _id: 'o-1',
  customerId: 'u-1',
  currency: 'EUR',
  lines: [{ sku: 'cup', quantity: 2, unitPriceCents: 450 }],
  totalCents: 900,
  createdAt: new Date('2026-01-31T12:00:01Z'),
};

describe('orders', () => {
  it('shows an order from its creation to its delivery, with what each event brings', () => {
    expect(documentAfter(created)).to.deep.equal({
      ...start,
      version: 1,
      status: 'created',
      updatedAt: new Date('2026-01-31T12:00:01Z'),
    });
    expect(documentAfter(created, paid)).to.deep.equal({
      ...start,
      version: 2,
      status: 'paid',
      paymentId: 'p-1',
      updatedAt: new Date('2026-01-31T12:00:02Z'),
    });
    const sent = { ...start, paymentId: 'p-1', carrier: 'post', trackingNumber: 't-1' };
    expect(documentAfter(created, paid, shipped)).to.deep.equal({
      ...sent,
      version: 3,
      status: 'shipped',
      updatedAt: new Date('2026-01-31T12:00:03Z'),
    });
    expect(documentAfter(created, paid, shipped, delivered)).to.deep.equal({
      ...sent,
      version: 4,
      status: 'delivered',
      updatedAt: new Date('2026-01-31T12:00:04Z'),
    });
  });

  it('shows why an order was cancelled', () => {
    expect(documentAfter(created, cancelled)).to.deep.equal({
      ...start,
      version: 2,
      status: 'cancelled',
      reason: 'too late',
      updatedAt: new Date('2026-01-31T12:00:02Z'),
    });
  });
});
