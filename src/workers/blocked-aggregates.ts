import { blockedCollection, trackedCollection } from '../core/fold-projection.js';
import type { OrderedProjection } from '../core/projection.js';
import type { DocumentWrite, StoredDocument } from '../read-store/read-store.js';
import type { ApplierDeps } from './applier.js';

/**
 * An aggregate that an ordered projection cannot go on with: one document of `<projection>.blocked`. Its events from
 * `fromPosition` on wait in the store; those of others go on.
 */
export type BlockedAggregate = {
  readonly _id: string;
  readonly aggregateType: string;
  /** Place of the first event that is not applied. */
  readonly fromPosition: number;
  readonly fromVersion: number;
  /** The event whose message is retried, then parked, for all that waits: it stays the same until the aggregate is free. */
  readonly eventId: string;
  readonly error: string;
  readonly at: Date;
  /** Events up to the checkpoint that wait behind the first. */
  readonly waiting: number;
};

/** How far an ordered projection is. */
export type Place = {
  /** Its checkpoint; null: none yet. */
  readonly position: number | null;
  /** How many aggregates are blocked. */
  readonly blocked: number;
  /** Of the guard; 0: there is none yet. */
  readonly guardVersion: number;
};

export type PlaceChange = {
  readonly position: number | null;
  readonly documents: readonly DocumentWrite[];
  readonly blocks?: readonly BlockedAggregate[];
  /** Of `blocks`, those that were not blocked before. */
  readonly newlyBlocked?: number;
  readonly released?: string;
};

/** No aggregate has an empty id, so this document of `<projection>.tracked` is nobody's. */
const guardId = '';

/**
 * Reads and moves the place of an ordered projection. The checkpoint, compared and set with the documents, keeps two
 * consumers apart that both believe to be the active one. Releasing an aggregate does not move it, so while one is
 * blocked every write changes the guard too: else a page folded before a release would write over what that wrote.
 */
export const makePlaces = (projection: OrderedProjection, deps: ApplierDeps) => {
  const { eventStore, readStore, readCheckpoint } = deps;
  const [blocked, tracked] = [blockedCollection(projection), trackedCollection(projection)];

  const guardWrite = (from: Place, count: number): DocumentWrite => ({
    collection: tracked,
    document: { _id: guardId, version: from.guardVersion + 1, blocked: count },
    onlyIf: from.guardVersion === 0 ? 'absent' : from.guardVersion,
  });

  return {
    read: async (): Promise<Place> => {
      // The checkpoint first: the first aggregate is blocked by moving it, so a guard that is newer misses none.
      const position = await readCheckpoint();
      const guard = (await readStore.read(tracked, [guardId])).get(guardId);
      return { position, blocked: Number(guard?.['blocked'] ?? 0), guardVersion: guard?.version ?? 0 };
    },

    /** One transaction. @returns where the projection is then; null: somebody else was faster, nothing is written */
    move: async (from: Place, change: PlaceChange): Promise<Place | null> => {
      const { position, documents, blocks = [], newlyBlocked = 0, released } = change;
      const count = from.blocked + newlyBlocked - (released === undefined ? 0 : 1);
      const isGuarded = from.blocked + newlyBlocked > 0;
      const outcome = await readStore.write({
        documents: [
          ...documents,
          ...blocks.map((document): DocumentWrite => ({ collection: blocked, document, onlyIf: 'any' })),
          ...(isGuarded ? [guardWrite(from, count)] : []),
        ],
        ...(released === undefined ? {} : { deletes: [{ collection: blocked, id: released }] }),
        ...(position === null || position === from.position
          ? {}
          : {
              checkpoint: {
                name: projection.name,
                onlyIf: from.position,
                checkpoint: { position, storeId: await eventStore.storeId() },
              },
            }),
      });
      if (outcome === 'stale') return null;
      return { position, blocked: count, guardVersion: from.guardVersion + (isGuarded ? 1 : 0) };
    },

    /** Those of these aggregates that are blocked. Costs nothing where none is. */
    blockedOf: async (at: Place, ids: readonly string[]): Promise<ReadonlyMap<string, BlockedAggregate>> =>
      at.blocked === 0
        ? new Map()
        : ((await readStore.read(blocked, ids)) as ReadonlyMap<string, StoredDocument & BlockedAggregate>),

    /** Ids of blocked aggregates, ascending, after this one. */
    blockedAfter: async (afterId: string, limit: number): Promise<readonly string[]> =>
      (await readStore.list(blocked, { filter: {}, afterId, limit })).map(({ _id }) => _id),
  };
};
