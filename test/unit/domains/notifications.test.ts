import { expect } from 'chai';
import { indexDomains } from '../../../src/core/domain.js';
import type { StateOf } from '../../../src/core/notification.js';
import type { OrderEvent } from '../../../src/domains/order/messages.js';
import { orderUpdates } from '../../../src/domains/order/notifications.js';
import { domains } from '../../../src/domains/registry.js';
import { welcome } from '../../../src/domains/user/notifications.js';
import { recorded } from '../../helpers/order-histories.js';

const lines = [{ sku: 'cup', quantity: 1, unitPriceCents: 900 }];
const history: readonly OrderEvent[] = [
  { type: 'order.created', payload: { customerId: 'u-1', currency: 'EUR', lines, totalCents: 900 } },
  { type: 'order.paid', payload: { paymentId: 'p-1', amountCents: 900 } },
  { type: 'order.shipped', payload: { carrier: 'post', trackingNumber: 't-1' } },
  { type: 'order.delivered', payload: {} },
  { type: 'order.cancelled', payload: { reason: 'too late' } },
];
const events = recorded(
  'order',
  history.map((event) => ['o-1', event] as const),
);

/** What the store would give: only the aggregates named, every other in its initial state. */
const stateOf =
  (known: Readonly<Record<string, unknown>>): StateOf =>
  async (aggregateType, id) =>
    known[`${aggregateType}/${id}`] ?? indexDomains(domains).ofAggregate(aggregateType)?.decider.initialState;

const order = { status: 'paid', customerId: 'u-1' };

describe('notification rules', () => {
  it('welcome goes to the email of a new user', async () => {
    const [created] = recorded('user', [
      ['u-1', { type: 'user.created', payload: { email: 'ann@example.org', name: 'Ann' } }] as const,
    ]);
    if (!created) throw new Error('there is one event');
    expect(welcome.events).to.deep.equal(['user.created']);
    expect(await welcome.recipient(created, stateOf({}))).to.equal('ann@example.org');
    expect(welcome.text(created)).to.deep.equal({
      subject: 'Welcome',
      text: 'Hello Ann, welcome. Your account is ready.',
    });
  });

  it('order-updates goes to the email of the customer, deactivated or not', async () => {
    for (const status of ['active', 'inactive']) {
      const known = { 'order/o-1': order, 'user/u-1': { status, email: 'ann@example.org', name: 'Ann' } };
      for (const event of events.slice(1)) {
        expect(orderUpdates.events).to.include(event.type);
        expect(await orderUpdates.recipient(event, stateOf(known))).to.equal('ann@example.org');
      }
    }
    expect(orderUpdates.events).not.to.include('order.created');
  });

  it('order-updates goes to the customer id itself where there is no such user', async () => {
    const [, paid] = events;
    if (!paid) throw new Error('there are five events');
    expect(await orderUpdates.recipient(paid, stateOf({ 'order/o-1': order }))).to.equal('u-1');
  });

  it('order-updates names the order and what happened', () => {
    expect(events.slice(1).map((event) => orderUpdates.text(event).text)).to.deep.equal([
      'We received the payment for order o-1.',
      'Order o-1 is on its way with post, tracking number t-1.',
      'Order o-1 was delivered.',
      'Order o-1 was cancelled: too late',
    ]);
  });
});
