import fc from 'fast-check';
import { fold } from '../../src/core/decider.js';
import type { RecordedEvent } from '../../src/core/message.js';
import { orderDecider, type Order } from '../../src/domains/order/decider.js';
import type { OrderCommand, OrderEvent } from '../../src/domains/order/messages.js';

/** Events of one type of aggregate as a store records them: versions and positions count up. */
export const recorded = <E extends { readonly type: string; readonly payload: unknown }>(
  aggregateType: string,
  events: readonly (readonly [aggregateId: string, event: E])[],
): readonly RecordedEvent<E>[] => {
  const versions = new Map<string, number>();
  return events.map(([aggregateId, event], index) => {
    const version = (versions.get(aggregateId) ?? 0) + 1;
    const position = index + 1;
    versions.set(aggregateId, version);
    return {
      ...event,
      aggregateType,
      aggregateId,
      version,
      position,
      id: `e-${position}`,
      schemaVersion: 1,
      metadata: { commandId: `c-${position}`, correlationId: `c-${position}`, causationId: `c-${position}` },
      timestamp: new Date(Date.UTC(2026, 0, 31, 12, 0, position)),
    };
  });
};

type Wish = { readonly id: string; readonly type: OrderCommand['type']; readonly cents: number };

const commandOf = ({ id, type, cents }: Wish, state: Order): OrderCommand => {
  const rest = { id: 'c-1', aggregateId: id, metadata: {} };
  switch (type) {
    case 'order.create': {
      const lines = [{ sku: 's', quantity: 2, unitPriceCents: cents }];
      return { ...rest, type, payload: { customerId: 'u-1', currency: 'EUR', lines } };
    }
    case 'order.pay':
      return {
        ...rest,
        type,
        payload: { paymentId: `p-${cents}`, amountCents: state.status === 'created' ? state.totalCents : cents },
      };
    case 'order.ship':
      return { ...rest, type, payload: { carrier: 'post', trackingNumber: `t-${cents}` } };
    case 'order.deliver':
      return { ...rest, type, payload: {} };
    case 'order.cancel':
      return { ...rest, type, payload: { reason: `r-${cents}` } };
  }
};

/** What a store may hold of a few orders: random commands, interleaved, as far as the decider accepts them. */
export const orderHistories: fc.Arbitrary<readonly RecordedEvent<OrderEvent>[]> = fc
  .array(
    fc.record({
      id: fc.constantFrom('o-1', 'o-2', 'o-3', 'o-4', '$o/5.'),
      type: fc.constantFrom(
        'order.create' as const,
        'order.create' as const,
        'order.pay' as const,
        'order.ship' as const,
        'order.deliver' as const,
        'order.cancel' as const,
      ),
      cents: fc.integer({ min: 1, max: 1_000 }),
    }),
    { maxLength: 60 },
  )
  .map((wishes) => {
    const states = new Map<string, Order>();
    const events = wishes.flatMap((wish): (readonly [string, OrderEvent])[] => {
      const state = states.get(wish.id) ?? orderDecider.initialState;
      const decision = orderDecider.decide(commandOf(wish, state), state, { now: new Date(0) });
      if (!decision.accepted) return [];
      states.set(wish.id, fold(orderDecider, state, decision.events));
      return decision.events.map((event) => [wish.id, event] as const);
    });
    return recorded('order', events);
  });

/** Cuts a list into runs of the given lengths, over and over. */
export const batchesOf = <T>(items: readonly T[], lengths: readonly number[]): readonly (readonly T[])[] => {
  const batches: (readonly T[])[] = [];
  for (let at = 0, turn = 0; at < items.length; turn += 1) {
    const length = lengths[turn % lengths.length] ?? 1;
    batches.push(items.slice(at, at + length));
    at += length;
  }
  return batches;
};
