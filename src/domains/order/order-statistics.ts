import type { RecordedEvent } from '../../core/message.js';
import type { OrderedProjection } from '../../core/projection.js';
import type { OrderStatus } from './decider.js';
import type { OrderEvent } from './messages.js';

/** The orders that are in one status now; a status that no order is in any more keeps its document, with zeros. */
export type StatisticsDocument = { readonly count: number; readonly totalCents: number };

/** What an order adds to which status. */
export type CountedOrder = { readonly status: OrderStatus; readonly totalCents: number };

const statusAfter = (event: OrderEvent): OrderStatus => {
  switch (event.type) {
    case 'order.created':
      return 'created';
    case 'order.paid':
      return 'paid';
    case 'order.shipped':
      return 'shipped';
    case 'order.delivered':
      return 'delivered';
    case 'order.cancelled':
      return 'cancelled';
  }
};

const track = (counted: CountedOrder | null, event: RecordedEvent<OrderEvent>): CountedOrder => {
  const status = statusAfter(event);
  if (event.type === 'order.created') return { status, totalCents: event.payload.totalCents };
  if (!counted) throw new Error(`${event.type} of ${event.aggregateId} comes before order.created`);
  return { status, totalCents: counted.totalCents };
};

export const orderStatistics: OrderedProjection<StatisticsDocument, CountedOrder> = {
  kind: 'ordered',
  name: 'order_statistics',
  track: (counted, event) => track(counted, event as RecordedEvent<OrderEvent>),
  keysOf: ({ before, after }) => (before ? [before.status, after.status] : [after.status]),
  evolve(doc, { before, after }, status) {
    const left = before?.status === status ? before : null;
    const entered = after.status === status ? after : null;
    return {
      count: (doc?.count ?? 0) - (left ? 1 : 0) + (entered ? 1 : 0),
      totalCents: (doc?.totalCents ?? 0) - (left?.totalCents ?? 0) + (entered?.totalCents ?? 0),
    };
  },
};
