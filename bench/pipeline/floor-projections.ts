import type { ConsumeMessage } from 'amqplib';
import { WriteConcern, type AnyBulkWriteOperation, type ClientSession, type Collection } from 'mongodb';
import { consumeBatches, fail, openConnections, openPublisher, reportReady, settings } from './connections.js';
import { evolve, project, type EventDocument, type ReadModel } from './rules.js';
import { collectionsOf, isLostRace, openStore, type StatisticsDocument, type Tracked } from './store.js';
import { declareTopology } from './topology.js';
import type { CloudEvent } from './wire.js';

/** The floor's projection worker: three queues, each batch one transaction, every event once. */

const { broker, mongo, db } = await openConnections();
await declareTopology(await openPublisher());
const storeId = await openStore(db);
const { events, users, orders, statistics, tracked, checkpoints } = collectionsOf(db);

type Seen = Pick<EventDocument, '_id' | 'aggregateId' | 'version' | 'type' | 'payload' | 'timestamp'>;

const parse = ({ content }: ConsumeMessage): Seen => {
  const event = JSON.parse(content.toString()) as CloudEvent;
  if (event.storeid !== storeId) throw new Error(`Event ${event.id} is of another store`);
  return {
    _id: event.position,
    aggregateId: event.subject,
    version: event.aggregateversion,
    type: event.type,
    payload: event.data,
    timestamp: new Date(event.time),
  };
};

/** Runs `attempt` in a transaction until no other writer comes between. */
const inTransaction = async (session: ClientSession, attempt: () => Promise<void>): Promise<void> => {
  for (;;) {
    session.startTransaction({ writeConcern: new WriteConcern('majority') });
    try {
      await attempt();
      await session.commitTransaction();
      return;
    } catch (error) {
      if (session.inTransaction()) await session.abortTransaction();
      if (!isLostRace(error)) throw error;
    }
  }
};

const byId = <T extends { readonly _id: string }>(documents: readonly T[]): Map<string, T> =>
  new Map(documents.map((document) => [document._id, document]));

/** New documents are inserted, the others replaced at the version that was read. */
const writeAll = async <T extends { readonly _id: string; readonly version: number }>(
  collection: Collection<T>,
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  session: ClientSession,
): Promise<void> => {
  const writes = [...after.values()].map((document) => {
    const old = before.get(document._id);
    return old
      ? { replaceOne: { filter: { _id: document._id, version: old.version }, replacement: document } }
      : { insertOne: { document } };
  });
  if (writes.length === 0) return;
  const result = await collection.bulkWrite(writes as unknown as AnyBulkWriteOperation<T>[], {
    session,
    ordered: false,
  });
  if (result.insertedCount + result.matchedCount !== writes.length) {
    throw Object.assign(new Error('A document changed since it was read'), { code: 112 });
  }
};

const makeKeyed = (aggregateType: string, collection: Collection<ReadModel>) => {
  const session = mongo.startSession();
  return async (messages: readonly ConsumeMessage[]): Promise<void> => {
    const batch = messages.map(parse);
    await inTransaction(session, async () => {
      const ids = [...new Set(batch.map((event) => event.aggregateId))];
      const before = byId(await collection.find({ _id: { $in: ids } }, { session }).toArray());
      const after = new Map<string, ReadModel>();
      for (const event of batch) {
        let document = after.get(event.aggregateId) ?? before.get(event.aggregateId);
        const known = document?.version ?? 0;
        if (event.version <= known) continue;
        if (event.version > known + 1) {
          const gap = { aggregateType, aggregateId: event.aggregateId, version: { $gt: known, $lt: event.version } };
          for await (const missed of events.find(gap).sort({ version: 1 })) document = project(document, missed);
        }
        after.set(event.aggregateId, project(document, event));
      }
      await writeAll(collection, before, after, session);
    });
  };
};

/**
 * Counts by status. What an order was before is tracked, since no other read model is at the same position; between
 * the checkpoint and the batch's last position no order event may be missing, else the store is read instead.
 */
const makeStatistics = () => {
  const session = mongo.startSession();
  return async (messages: readonly ConsumeMessage[]): Promise<void> => {
    const delivered = messages.map(parse).sort((a, b) => a._id - b._id);
    await inTransaction(session, async () => {
      const checkpoint = (await checkpoints.findOne({ _id: 'order_statistics' }, { session }))?.position ?? 0;
      const last = delivered.at(-1)?._id ?? 0;
      const range = { _id: { $gt: checkpoint, $lte: last }, aggregateType: 'order' };
      let batch: readonly Seen[] = [...new Map(delivered.map((event) => [event._id, event])).values()];
      batch = batch.filter((event) => event._id > checkpoint);
      if (batch.length === 0) return;
      if ((await events.countDocuments(range)) !== batch.length)
        batch = await events.find(range).sort({ _id: 1 }).toArray();

      const ids = [...new Set(batch.map((event) => event.aggregateId))];
      const before = byId(await tracked.find({ _id: { $in: ids } }, { session }).toArray());
      const after = new Map<string, Tracked>();
      const changes = new Map<string, { count: number; totalCents: number }>();
      const change = (status: string, count: number, totalCents: number): void => {
        const sum = changes.get(status) ?? { count: 0, totalCents: 0 };
        changes.set(status, { count: sum.count + count, totalCents: sum.totalCents + count * totalCents });
      };
      for (const event of batch) {
        const old = after.get(event.aggregateId) ?? before.get(event.aggregateId);
        const now = evolve(old ?? { version: 0, status: 'none', totalCents: 0 }, event);
        if (old) change(old.status, -1, old.totalCents);
        change(now.status, 1, now.totalCents);
        after.set(event.aggregateId, { _id: event.aggregateId, ...now });
      }
      await writeAll(tracked, before, after, session);
      await statistics.bulkWrite(
        [...changes].map(([status, sums]): AnyBulkWriteOperation<StatisticsDocument> => {
          return { updateOne: { filter: { _id: status }, update: { $inc: sums }, upsert: true } };
        }),
        { session, ordered: false },
      );
      await checkpoints.updateOne(
        { _id: 'order_statistics' },
        { $set: { position: last, storeId } },
        { session, upsert: true },
      );
    });
  };
};

await Promise.all([
  consumeBatches(broker, 'projections.users', settings.projections, makeKeyed('user', users)),
  consumeBatches(broker, 'projections.orders', settings.projections, makeKeyed('order', orders)),
  consumeBatches(broker, 'projections.order_statistics', settings.projections, makeStatistics()),
]).catch(fail);
reportReady('projection-worker');
