import type { RecordedEvent } from '../../core/message.js';
import type { KeyedProjection } from '../../core/projection.js';
import type { OrderStatus } from './decider.js';
import type { OrderEvent, OrderLine } from './messages.js';

export type OrderDocument = {
  readonly customerId: string;
  readonly currency: string;
  readonly lines: readonly OrderLine[];
  readonly totalCents: number;
  readonly status: OrderStatus;
  /** From here to `reason`: there from the event on that brings it. */
  readonly paymentId?: string;
  readonly carrier?: string;
  readonly trackingNumber?: string;
  readonly reason?: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
};

const evolve = (doc: OrderDocument | null, event: RecordedEvent<OrderEvent>): OrderDocument => {
  const updatedAt = event.timestamp;
  if (event.type === 'order.created') {
    return { ...event.payload, status: 'created', createdAt: updatedAt, updatedAt };
  }
  if (!doc) throw new Error(`${event.type} of ${event.aggregateId} comes before order.created`);
  switch (event.type) {
    case 'order.paid':
      return { ...doc, status: 'paid', paymentId: event.payload.paymentId, updatedAt };
    case 'order.shipped': {
      const { carrier, trackingNumber } = event.payload;
      return { ...doc, status: 'shipped', carrier, trackingNumber, updatedAt };
    }
    case 'order.delivered':
      return { ...doc, status: 'delivered', updatedAt };
    case 'order.cancelled':
      return { ...doc, status: 'cancelled', reason: event.payload.reason, updatedAt };
  }
};

export const orders: KeyedProjection<OrderDocument> = {
  kind: 'keyed',
  name: 'orders',
  // A list goes on after an id, so the id is part of each index.
  indexes: [
    { status: 1, _id: 1 },
    { customerId: 1, status: 1, _id: 1 },
    { customerId: 1, _id: 1 },
  ],
  evolve: (doc, event) => evolve(doc, event as RecordedEvent<OrderEvent>),
};
