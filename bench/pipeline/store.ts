import { randomUUID } from 'node:crypto';
import type { Collection, Db } from 'mongodb';
import type { EventDocument, ReadModel } from './rules.js';

export type OutboxDocument = { readonly _id: number; readonly last: number; readonly at: Date };
export type StatisticsDocument = { readonly _id: string; readonly count: number; readonly totalCents: number };
export type Tracked = {
  readonly _id: string;
  readonly version: number;
  readonly status: string;
  readonly totalCents: number;
};
export type CheckpointDocument = { readonly _id: string; readonly position: number; readonly storeId: string };
export type LedgerDocument = {
  readonly _id: string;
  readonly rule: string;
  readonly channel: string;
  readonly recipient: string;
  readonly status: string;
  readonly attempts: number;
  readonly sentAt: Date | null;
  readonly error: string | null;
  /** Until then the worker that made the row may still be sending. */
  readonly leaseUntil: Date;
};

/** The collections of the contract. */
export const collectionsOf = (db: Db) => ({
  events: db.collection<EventDocument>('events'),
  outbox: db.collection<OutboxDocument>('outbox'),
  users: db.collection<ReadModel>('users'),
  orders: db.collection<ReadModel>('orders'),
  statistics: db.collection<StatisticsDocument>('order_statistics'),
  tracked: db.collection<Tracked>('order_statistics.tracked'),
  checkpoints: db.collection<CheckpointDocument>('checkpoints'),
  notifications: db.collection<LedgerDocument>('notifications'),
});

/** The indexes of the contract and those of the queries; idempotent. */
export const openStore = async (db: Db): Promise<string> => {
  const { events, users, orders, ...others } = collectionsOf(db);
  await events.createIndex({ aggregateType: 1, aggregateId: 1, version: 1 }, { unique: true }, {});
  await events.createIndex({ 'metadata.commandId': 1, commandIndex: 1 }, { unique: true }, {});
  await users.createIndex({ status: 1, _id: 1 });
  await orders.createIndexes([
    { key: { status: 1, _id: 1 } },
    { key: { customerId: 1, status: 1, _id: 1 } },
    { key: { customerId: 1, _id: 1 } },
  ]);
  // A collection that a transaction makes is locked against the others for as long: all are made before
  for (const { collectionName } of Object.values(others)) await db.createCollection(collectionName).catch(alreadyThere);
  const store = db.collection<{ _id: string; id: string }>('store');
  await store.updateOne({ _id: 'store' }, { $setOnInsert: { id: randomUUID() } }, { upsert: true }).catch(alreadyThere);
  return (await store.findOne({ _id: 'store' }))?.id ?? '';
};

const alreadyThere = (error: unknown): void => {
  const code = (error as { code?: unknown }).code;
  if (code !== 48 && code !== 11_000) throw error;
};

/** Another writer was first, or the transaction did not survive: nothing is stored; read again and repeat. */
export const isLostRace = (error: unknown): boolean => {
  const { code, errorLabels } = error as { code?: unknown; errorLabels?: unknown };
  return (
    code === 11_000 || code === 112 || (Array.isArray(errorLabels) && errorLabels.includes('TransientTransactionError'))
  );
};

/** Appended positions beyond the last one of the store: 0 when it is empty. */
export const headPosition = async (events: Collection<EventDocument>): Promise<number> =>
  (await events.findOne({}, { sort: { _id: -1 }, projection: { _id: 1 } }))?._id ?? 0;
