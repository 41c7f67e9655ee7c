import { accept, reject, type Decider, type Decision } from '../../core/decider.js';
import type { OrderCommand, OrderEvent, OrderLine } from './messages.js';

export const orderStatuses = ['created', 'paid', 'shipped', 'delivered', 'cancelled'] as const;
export type OrderStatus = (typeof orderStatuses)[number];

export type Order =
  | { readonly status: 'none' }
  | { readonly status: 'created'; readonly customerId: string; readonly currency: string; readonly totalCents: number }
  | { readonly status: Exclude<OrderStatus, 'created'>; readonly customerId: string };

type CommandOf<Type extends OrderCommand['type']> = Extract<OrderCommand, { type: Type }>;

/** Exact, or not a safe integer: rounding never brings a larger sum or product back below 2^53. */
const totalOf = (lines: readonly OrderLine[]): number =>
  lines.reduce((total, { quantity, unitPriceCents }) => total + quantity * unitPriceCents, 0);

const notFound = (id: string) => reject('ORDER_NOT_FOUND', `There is no order ${id}; create it first`);
const cancelled = (id: string) => reject('ORDER_CANCELLED', `Order ${id} is cancelled and can no longer be changed`);
const alreadyShipped = (id: string) => reject('ORDER_ALREADY_SHIPPED', `Order ${id} was shipped already`);

const create = ({ aggregateId, payload }: CommandOf<'order.create'>, state: Order): Decision<OrderEvent> => {
  if (state.status !== 'none') {
    return reject('ORDER_ALREADY_EXISTS', `There is an order ${aggregateId} already; take another id`);
  }
  const totalCents = totalOf(payload.lines);
  return Number.isSafeInteger(totalCents)
    ? accept({ type: 'order.created', payload: { ...payload, totalCents } })
    : reject('TOTAL_TOO_LARGE', `The total is over ${Number.MAX_SAFE_INTEGER} cents; split the order`);
};

const pay = ({ aggregateId, payload }: CommandOf<'order.pay'>, state: Order): Decision<OrderEvent> => {
  switch (state.status) {
    case 'none':
      return notFound(aggregateId);
    case 'created':
      return payload.amountCents === state.totalCents
        ? accept({ type: 'order.paid', payload })
        : reject(
            'AMOUNT_MISMATCH',
            `Order ${aggregateId} costs ${state.totalCents} cents ${state.currency}, not ${payload.amountCents}; pay the exact amount`,
          );
    case 'paid':
    case 'shipped':
    case 'delivered':
      return reject('ORDER_ALREADY_PAID', `Order ${aggregateId} was paid already`);
    case 'cancelled':
      return cancelled(aggregateId);
  }
};

const ship = ({ aggregateId, payload }: CommandOf<'order.ship'>, state: Order): Decision<OrderEvent> => {
  switch (state.status) {
    case 'none':
      return notFound(aggregateId);
    case 'created':
      return reject('ORDER_NOT_PAID', `Order ${aggregateId} is not paid; pay it before shipping`);
    case 'paid':
      return accept({ type: 'order.shipped', payload });
    case 'shipped':
    case 'delivered':
      return alreadyShipped(aggregateId);
    case 'cancelled':
      return cancelled(aggregateId);
  }
};

const deliver = ({ aggregateId, payload }: CommandOf<'order.deliver'>, state: Order): Decision<OrderEvent> => {
  switch (state.status) {
    case 'none':
      return notFound(aggregateId);
    case 'created':
    case 'paid':
      return reject('ORDER_NOT_SHIPPED', `Order ${aggregateId} is not shipped; ship it before delivery`);
    case 'shipped':
      return accept({ type: 'order.delivered', payload });
    case 'delivered':
      return reject('ORDER_ALREADY_DELIVERED', `Order ${aggregateId} was delivered already`);
    case 'cancelled':
      return cancelled(aggregateId);
  }
};

const cancel = ({ aggregateId, payload }: CommandOf<'order.cancel'>, state: Order): Decision<OrderEvent> => {
  switch (state.status) {
    case 'none':
      return notFound(aggregateId);
    case 'created':
    case 'paid':
      return accept({ type: 'order.cancelled', payload });
    case 'shipped':
    case 'delivered':
      return alreadyShipped(aggregateId);
    case 'cancelled':
      return cancelled(aggregateId);
  }
};

const decide = (command: OrderCommand, state: Order): Decision<OrderEvent> => {
  switch (command.type) {
    case 'order.create':
      return create(command, state);
    case 'order.pay':
      return pay(command, state);
    case 'order.ship':
      return ship(command, state);
    case 'order.deliver':
      return deliver(command, state);
    case 'order.cancel':
      return cancel(command, state);
  }
};

const moved = (state: Order, status: Exclude<OrderStatus, 'created'>): Order =>
  state.status === 'none' ? state : { status, customerId: state.customerId };

const evolve = (state: Order, event: OrderEvent): Order => {
  switch (event.type) {
    case 'order.created': {
      const { customerId, currency, totalCents } = event.payload;
      return { status: 'created', customerId, currency, totalCents };
    }
    case 'order.paid':
      return moved(state, 'paid');
    case 'order.shipped':
      return moved(state, 'shipped');
    case 'order.delivered':
      return moved(state, 'delivered');
    case 'order.cancelled':
      return moved(state, 'cancelled');
  }
};

/** created → paid (the exact amount) → shipped → delivered; cancel before shipping only. */
export const orderDecider: Decider<Order, OrderCommand, OrderEvent> = {
  initialState: { status: 'none' },
  decide,
  evolve,
};
