import type { Channel } from 'amqplib';
import type { Db } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';
import type { Load } from './load.js';
import { collectionsOf, headPosition } from './store.js';
import { workQueues } from './topology.js';

const pollMs = 50;
/** Nothing takes this long unless something is broken. */
const stuckAfterMs = 90_000;

export type Progress = {
  /** Waits until an event is stored. */
  firstEvent(): Promise<void>;
  /** Events that are stored and counted in the statistics, the last read model to have them. */
  applied(): Promise<number>;
  /** Waits until every read model reflects all events of these loads, each once. */
  readModelsComplete(loads: readonly Load[]): Promise<void>;
  /** Waits until nothing is left: outbox empty, all notifications sent, all queues empty. */
  allDone(loads: readonly Load[]): Promise<void>;
};

const sum = (loads: readonly Load[], field: 'users' | 'orders' | 'totalCents' | 'notifications'): number =>
  loads.reduce((total, load) => total + load[field], 0);

/** Reads the effects from outside, so that it is the same for every variant. Cheap questions come before counts. */
export const makeProgress = (db: Db, channel: Channel, hasEventQueues: boolean): Progress => {
  const { events, outbox, users, orders, statistics, checkpoints, notifications } = collectionsOf(db);

  const waitFor = async (
    what: string,
    question: () => Promise<readonly [number, number]>,
    everyMs = pollMs,
  ): Promise<void> => {
    const endsAt = performance.now() + stuckAfterMs;
    for (;;) {
      const [found, wanted] = await question();
      if (found === wanted) return;
      if (performance.now() > endsAt)
        throw new Error(`${what}: ${found} instead of ${wanted} after ${stuckAfterMs} ms`);
      await delay(everyMs);
    }
  };

  const statisticsPosition = async (): Promise<number> =>
    (await checkpoints.findOne({ _id: 'order_statistics' }))?.position ?? 0;

  return {
    firstEvent: () => waitFor('a first event', async () => [Math.min(1, await headPosition(events)), 1], 5),
    applied: async () => Math.min(await headPosition(events), await statisticsPosition()),
    readModelsComplete: async (loads) => {
      const total = loads.reduce((count, load) => count + load.messages.length, 0);
      await waitFor('events stored', async () => [await headPosition(events), total]);
      const lastOrderEvent = await events.findOne({ aggregateType: 'order' }, { sort: { _id: -1 } });
      const last = lastOrderEvent?._id ?? 0;
      await waitFor('checkpoint of order_statistics', async () => [Math.min(await statisticsPosition(), last), last]);
      await waitFor('users at version 2', async () => [
        await users.countDocuments({ version: 2 }),
        sum(loads, 'users'),
      ]);
      await waitFor('orders at version 3', async () => [
        await orders.countDocuments({ version: 3, status: 'shipped' }),
        sum(loads, 'orders'),
      ]);
      const counted = await statistics.find({ count: { $ne: 0 } }).toArray();
      const left = await statistics.countDocuments({ count: 0, totalCents: { $ne: 0 } });
      const [shipped, other] = counted;
      const isRight = shipped?.count === sum(loads, 'orders') && shipped.totalCents === sum(loads, 'totalCents');
      if (!isRight || shipped._id !== 'shipped' || other || left > 0) {
        throw new Error(`order_statistics is wrong: ${JSON.stringify(await statistics.find().toArray())}`);
      }
    },
    allDone: async (loads) => {
      await waitFor('documents in the outbox', async () => [await outbox.countDocuments(), 0]);
      const wanted = sum(loads, 'notifications');
      await waitFor('notifications', async () => [await notifications.estimatedDocumentCount(), wanted]);
      await waitFor('notifications sent', async () => [await notifications.countDocuments({ status: 'sent' }), wanted]);
      for (const queue of hasEventQueues ? workQueues : ['commands']) {
        await waitFor(`messages in ${queue}`, async () => [(await channel.checkQueue(queue)).messageCount, 0]);
      }
    },
  };
};
