import type { MongoClient, UUID } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';

/** A write that gets no further for this long may stand behind the transaction of a killed process. */
export const standstillMs = 500;

/** Two looks this far apart must find a transaction untouched. */
const confirmAfterMs = 100;

type IdleTransaction = {
  readonly lsid: { readonly id: UUID };
  readonly transaction: { readonly parameters: { readonly txnNumber: unknown }; readonly timeActiveMicros: unknown };
};

/** The server answers this with read concern `local` only. */
const findIdle = (client: MongoClient): Promise<IdleTransaction[]> =>
  client
    .db('admin')
    .aggregate<IdleTransaction>(
      [
        // One's own sessions only, which needs no privilege.
        { $currentOp: { allUsers: false, idleSessions: true, idleConnections: false } },
        {
          $match: {
            // A transaction whose statement or commit is running, waiting for its majority too, is no idle session.
            type: 'idleSession',
            active: false,
            appName: { $regex: '^warren/' },
            'transaction.timeInactiveMicros': { $gte: standstillMs * 1000 },
          },
        },
        { $project: { lsid: 1, transaction: 1 } },
      ],
      { readConcern: { level: 'local' } },
    )
    .toArray();

/** Changes with every statement of the session. */
const fingerprint = ({ lsid, transaction }: IdleTransaction): string =>
  `${lsid.id.toHexString()}/${String(transaction.parameters.txnNumber)}/${String(transaction.timeActiveMicros)}`;

/**
 * Ends the open transactions of Warren processes that died or hang. MongoDB keeps such a transaction, and the next
 * position or the documents it wrote, for 60 s or more, and every other writer fails with 112 meanwhile. Call it when
 * a write stood still for `standstillMs`.
 *
 * Ended is what was idle for `standstillMs` in all and does nothing between two looks: a living writer's statements
 * follow each other within milliseconds. One that is hit all the same (its process was stopped for so long) has
 * stored nothing, gets `transient` and tries again.
 * @returns how many were ended
 */
export const endAbandonedTransactions = async (client: MongoClient): Promise<number> => {
  const before = new Set((await findIdle(client)).map(fingerprint));
  if (before.size === 0) return 0;
  await delay(confirmAfterMs);
  const abandoned = (await findIdle(client)).filter((idle) => before.has(fingerprint(idle)));
  if (abandoned.length === 0) return 0;
  // By session id alone: the server adds the caller's own user, so that no privilege is needed.
  await client.db('admin').command({ killSessions: abandoned.map(({ lsid }) => ({ id: lsid.id })) });
  return abandoned.length;
};
