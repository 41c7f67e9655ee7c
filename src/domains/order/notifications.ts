import type { RecordedEvent } from '../../core/message.js';
import type { NotificationRule, NotificationText } from '../../core/notification.js';
import { addressOf } from '../user/address.js';
import type { Order } from './decider.js';
import type { OrderEvent } from './messages.js';

const textOf = (event: RecordedEvent<OrderEvent>): NotificationText => {
  const id = event.aggregateId;
  switch (event.type) {
    case 'order.created':
      return { subject: `Order ${id} received`, text: `We received order ${id}.` };
    case 'order.paid':
      return { subject: `Order ${id} paid`, text: `We received the payment for order ${id}.` };
    case 'order.shipped': {
      const { carrier, trackingNumber } = event.payload;
      return {
        subject: `Order ${id} shipped`,
        text: `Order ${id} is on its way with ${carrier}, tracking number ${trackingNumber}.`,
      };
    }
    case 'order.delivered':
      return { subject: `Order ${id} delivered`, text: `Order ${id} was delivered.` };
    case 'order.cancelled':
      return { subject: `Order ${id} cancelled`, text: `Order ${id} was cancelled: ${event.payload.reason}` };
  }
};

/** Tells the customer what became of an order. */
export const orderUpdates: NotificationRule = {
  name: 'order-updates',
  events: ['order.paid', 'order.shipped', 'order.delivered', 'order.cancelled'],
  async recipient(event, stateOf) {
    const order = (await stateOf('order', event.aggregateId)) as Order;
    if (order.status === 'none') throw new Error(`The store has no order ${event.aggregateId}, but its ${event.type}`);
    return addressOf(order.customerId, stateOf);
  },
  text: (event) => textOf(event as RecordedEvent<OrderEvent>),
};
