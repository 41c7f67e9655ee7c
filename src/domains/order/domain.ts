import { defineDomain } from '../../core/domain.js';
import { orderDecider } from './decider.js';
import {
  cancelOrder,
  createOrder,
  deliverOrder,
  orderCancelled,
  orderCreated,
  orderDelivered,
  orderPaid,
  orderShipped,
  payOrder,
  shipOrder,
} from './messages.js';
import { orderUpdates } from './notifications.js';
import { orderStatistics } from './order-statistics.js';
import { orders } from './orders.js';
import { orderQueries } from './queries.js';

export const orderDomain = defineDomain({
  aggregateType: 'order',
  commands: {
    'order.create': createOrder,
    'order.pay': payOrder,
    'order.ship': shipOrder,
    'order.deliver': deliverOrder,
    'order.cancel': cancelOrder,
  },
  events: {
    'order.created': { schema: orderCreated, schemaVersion: 1 },
    'order.paid': { schema: orderPaid, schemaVersion: 1 },
    'order.shipped': { schema: orderShipped, schemaVersion: 1 },
    'order.delivered': { schema: orderDelivered, schemaVersion: 1 },
    'order.cancelled': { schema: orderCancelled, schemaVersion: 1 },
  },
  decider: orderDecider,
  projections: [orders, orderStatistics],
  notifications: [orderUpdates],
  queries: orderQueries,
});
