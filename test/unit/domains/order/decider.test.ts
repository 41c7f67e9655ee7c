import { orderDecider } from '../../../../src/domains/order/decider.js';
import type { OrderEvent } from '../../../../src/domains/order/messages.js';
import { given } from '../../../helpers/given-when-then.js';

const cart = {
  customerId: 'u-1',
  currency: 'EUR',
  lines: [
    { sku: 'cup', quantity: 3, unitPriceCents: 450 },
    { sku: 'pot', quantity: 1, unitPriceCents: 2_000 },
  ],
};
const payment = { paymentId: 'p-1', amountCents: 3_350 };
const parcel = { carrier: 'post', trackingNumber: 't-1' };

const created: OrderEvent = { type: 'order.created', payload: { ...cart, totalCents: 3_350 } };
const paid: OrderEvent = { type: 'order.paid', payload: payment };
const shipped: OrderEvent = { type: 'order.shipped', payload: parcel };
const delivered: OrderEvent = { type: 'order.delivered', payload: {} };
const cancelled: OrderEvent = { type: 'order.cancelled', payload: { reason: 'too late' } };

const create = { type: 'order.create', payload: cart } as const;
const pay = { type: 'order.pay', payload: payment } as const;
const ship = { type: 'order.ship', payload: parcel } as const;
const deliver = { type: 'order.deliver', payload: {} } as const;
const cancel = { type: 'order.cancel', payload: { reason: 'too late' } } as const;

const none: readonly OrderEvent[] = [];
const atShipped = [created, paid, shipped];
const atDelivered = [...atShipped, delivered];
const atCancelled = [created, cancelled];

describe('order decider', () => {
  it('creates an order with the total of its lines', () => {
    given(orderDecider).when(create).accepts(created);
  });

  it('refuses a second create, whatever became of the order', () => {
    for (const history of [[created], [created, paid], atShipped, atDelivered, atCancelled]) {
      given(orderDecider, ...history)
        .when(create)
        .rejects('ORDER_ALREADY_EXISTS');
    }
  });

  it('takes a total of 2^53 - 1 and refuses one above, by one line or by their sum', () => {
    const orderOf = (...lines: readonly (readonly [quantity: number, unitPriceCents: number])[]) => ({
      type: 'order.create' as const,
      payload: { ...cart, lines: lines.map(([quantity, unitPriceCents]) => ({ sku: 's', quantity, unitPriceCents })) },
    });
    const most = orderOf([1, Number.MAX_SAFE_INTEGER]);
    given(orderDecider)
      .when(most)
      .accepts({ type: 'order.created', payload: { ...most.payload, totalCents: Number.MAX_SAFE_INTEGER } });
    given(orderDecider)
      .when(orderOf([1, Number.MAX_SAFE_INTEGER], [1, 1]))
      .rejects('TOTAL_TOO_LARGE');
    given(orderDecider)
      .when(orderOf([2 ** 27, 2 ** 26]))
      .rejects('TOTAL_TOO_LARGE');
    given(orderDecider)
      .when(orderOf([Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]))
      .rejects('TOTAL_TOO_LARGE');
  });

  it('takes the exact amount', () => {
    given(orderDecider, created).when(pay).accepts(paid);
  });

  it('refuses a cent less and a cent more', () => {
    for (const amountCents of [3_349, 3_351]) {
      given(orderDecider, created)
        .when({ type: 'order.pay', payload: { paymentId: 'p-1', amountCents } })
        .rejects('AMOUNT_MISMATCH');
    }
  });

  it('ships what is paid, delivers what is shipped', () => {
    given(orderDecider, created, paid).when(ship).accepts(shipped);
    given(orderDecider, ...atShipped)
      .when(deliver)
      .accepts(delivered);
  });

  it('cancels before shipping, paid or not', () => {
    given(orderDecider, created).when(cancel).accepts(cancelled);
    given(orderDecider, created, paid).when(cancel).accepts(cancelled);
  });

  const refusals = [
    ['pay', pay, none, 'ORDER_NOT_FOUND'],
    ['pay', pay, [created, paid], 'ORDER_ALREADY_PAID'],
    ['pay', pay, atShipped, 'ORDER_ALREADY_PAID'],
    ['pay', pay, atDelivered, 'ORDER_ALREADY_PAID'],
    ['pay', pay, atCancelled, 'ORDER_CANCELLED'],
    ['ship', ship, none, 'ORDER_NOT_FOUND'],
    ['ship', ship, [created], 'ORDER_NOT_PAID'],
    ['ship', ship, atShipped, 'ORDER_ALREADY_SHIPPED'],
    ['ship', ship, atDelivered, 'ORDER_ALREADY_SHIPPED'],
    ['ship', ship, atCancelled, 'ORDER_CANCELLED'],
    ['deliver', deliver, none, 'ORDER_NOT_FOUND'],
    ['deliver', deliver, [created], 'ORDER_NOT_SHIPPED'],
    ['deliver', deliver, [created, paid], 'ORDER_NOT_SHIPPED'],
    ['deliver', deliver, atDelivered, 'ORDER_ALREADY_DELIVERED'],
    ['deliver', deliver, atCancelled, 'ORDER_CANCELLED'],
    ['cancel', cancel, none, 'ORDER_NOT_FOUND'],
    ['cancel', cancel, atShipped, 'ORDER_ALREADY_SHIPPED'],
    ['cancel', cancel, atDelivered, 'ORDER_ALREADY_SHIPPED'],
    ['cancel', cancel, atCancelled, 'ORDER_CANCELLED'],
    ['cancel', cancel, [created, paid, cancelled], 'ORDER_CANCELLED'],
  ] as const;
  for (const [name, command, history, code] of refusals) {
    const last = history.at(-1)?.type ?? 'nothing';
    it(`refuses to ${name} after ${last} (${history.length} events): ${code}`, () => {
      given(orderDecider, ...history)
        .when(command)
        .rejects(code);
    });
  }
});
