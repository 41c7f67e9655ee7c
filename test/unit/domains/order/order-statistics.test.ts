import { expect } from 'chai';
import fc from 'fast-check';
import { aggregateIdsOf, foldSteps, trackedCollection, trackSteps } from '../../../../src/core/fold-projection.js';
import { fold } from '../../../../src/core/decider.js';
import type { RecordedEvent } from '../../../../src/core/message.js';
import { orderDecider, orderStatuses } from '../../../../src/domains/order/decider.js';
import type { OrderEvent } from '../../../../src/domains/order/messages.js';
import { orderStatistics } from '../../../../src/domains/order/order-statistics.js';
import { makeMemoryReadStore } from '../../../../src/read-store/memory-read-store.js';
import type { ReadStore } from '../../../../src/read-store/read-store.js';
import { batchesOf, orderHistories, recorded } from '../../../helpers/order-histories.js';

const project = async (store: ReadStore, events: readonly RecordedEvent[]): Promise<void> => {
  const tracked = await store.read(trackedCollection(orderStatistics), aggregateIdsOf(events));
  const steps = trackSteps(orderStatistics, tracked, events);
  const stored = await store.read(orderStatistics.name, steps.keys);
  await store.write({ documents: foldSteps(orderStatistics, stored, steps) });
};

const statistics = async (store: ReadStore): Promise<ReadonlyMap<string, object>> =>
  store.read('order_statistics', orderStatuses);

const createdOrder = (totalCents: number): OrderEvent => ({
  type: 'order.created',
  payload: {
    customerId: 'u-1',
    currency: 'EUR',
    lines: [{ sku: 's', quantity: 1, unitPriceCents: totalCents }],
    totalCents,
  },
});
const cancelled: OrderEvent = { type: 'order.cancelled', payload: { reason: 'r' } };

/** Counted anew from the streams, with no projection. */
const recount = (history: readonly RecordedEvent<OrderEvent>[]): ReadonlyMap<string, object> => {
  const totals = new Map<string, { _id: string; count: number; totalCents: number }>();
  for (const event of history) {
    const _id = event.type.slice('order.'.length);
    totals.set(_id, { _id, count: 0, totalCents: 0 });
  }
  for (const id of aggregateIdsOf(history)) {
    const stream = history.filter((event) => event.aggregateId === id);
    const order = fold(orderDecider, orderDecider.initialState, stream);
    const created = stream[0];
    const total = totals.get(order.status);
    if (!total || created?.type !== 'order.created') throw new Error(`${id} does not begin with its creation`);
    total.count += 1;
    total.totalCents += created.payload.totalCents;
  }
  return totals;
};

describe('order statistics', () => {
  it('moves an order from status to status, and keeps the document of a status with none left', async () => {
    const store = makeMemoryReadStore();
    await project(
      store,
      recorded('order', [
        ['o-1', createdOrder(500)],
        ['o-2', createdOrder(70)],
        ['o-1', cancelled],
        ['o-2', cancelled],
      ]),
    );
    expect(Object.fromEntries(await statistics(store))).to.deep.equal({
      created: { _id: 'created', count: 0, totalCents: 0 },
      cancelled: { _id: 'cancelled', count: 2, totalCents: 570 },
    });
  });

  it('equals a recount after every batch, however the history is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        orderHistories,
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
        async (history, lengths) => {
          const store = makeMemoryReadStore();
          let position = 0;
          for (const batch of batchesOf(history, lengths)) {
            await project(store, batch);
            position += batch.length;
            expect(await statistics(store)).to.deep.equal(recount(history.slice(0, position)));
          }
        },
      ),
    );
  });
});
