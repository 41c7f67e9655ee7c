/**
 * What the read models must be, said a second time and without any code of the system: a plain fold over the events
 * as the contract describes them. Dates are ISO strings, as HTTP gives them.
 */
export type PlainEvent = {
  readonly position: number;
  readonly type: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly timestamp: string;
};

type Document = Record<string, unknown> & { id: string };
type Statistic = { count: number; totalCents: number };

export type ReadModels = {
  readonly users: ReadonlyMap<string, Document>;
  readonly orders: ReadonlyMap<string, Document>;
  readonly statistics: Readonly<Record<string, Statistic>>;
};

const orderStatus: Readonly<Record<string, string>> = {
  'order.created': 'created',
  'order.paid': 'paid',
  'order.shipped': 'shipped',
  'order.delivered': 'delivered',
  'order.cancelled': 'cancelled',
};

export const expectedReadModels = (events: readonly PlainEvent[]): ReadModels => {
  const users = new Map<string, Document>();
  const orders = new Map<string, Document>();
  const statistics: Record<string, Statistic> = {};
  const count = (order: Document, by: number): void => {
    const statistic = (statistics[String(order['status'])] ??= { count: 0, totalCents: 0 });
    statistic.count += by;
    statistic.totalCents += by * Number(order['totalCents']);
  };
  for (const { type, aggregateType, aggregateId: id, version, payload, timestamp } of events) {
    if (aggregateType === 'user') {
      const before = users.get(id) ?? { id, status: 'active', createdAt: timestamp };
      const status = type === 'user.deactivated' ? 'inactive' : before['status'];
      users.set(id, { ...before, ...payload, status, version, updatedAt: timestamp });
    } else if (aggregateType === 'order') {
      const before = orders.get(id);
      if (before) count(before, -1);
      const { amountCents, ...fields } = payload;
      const start = before ?? { id, createdAt: timestamp };
      const after = { ...start, ...fields, status: orderStatus[type], version, updatedAt: timestamp };
      orders.set(id, after);
      count(after, 1);
    }
  }
  return { users, orders, statistics };
};
