import type { Collection, Db } from 'mongodb';
import type { EventMetadata, RecordedEvent } from '../../core/message.js';
import type { Commit, StoredCommand } from '../event-store.js';

/** An event as it is stored; other programs read this shape. */
export type EventDocument = {
  /** Position. */
  readonly _id: number;
  readonly eventId: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  readonly type: string;
  readonly schemaVersion: number;
  readonly payload: unknown;
  readonly metadata: EventMetadata;
  readonly timestamp: Date;
  /** Place among the events of its command, from 0. */
  readonly commandIndex: number;
  /** On the first event of a command only; what is undefined is not stored. */
  readonly commandDigest?: string | undefined;
};

/** Positions `_id` to `last`; `at`, by the server's clock, is when they were written or last taken over. */
export type OutboxDocument = { readonly _id: number; readonly last: number; readonly at: Date };

/**
 * `turns`: writers that wait for their turn to append, in order; the first has had it since `turnAt`. `handed`: the last
 * position, from the one who had it before, for `to` only.
 */
type StoreDocument = {
  readonly _id: 'store';
  readonly id: string;
  readonly turns?: readonly string[];
  readonly turnAt?: Date;
  readonly handed?: { readonly to?: string; readonly head?: number | null };
};

/** `_id` is the stream's key, `<aggregateType>/<aggregateId>`; a cache, so any document may be deleted at any time. */
export type SnapshotDocument = {
  readonly _id: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  /** Of the event at that version. */
  readonly eventId: string;
  readonly snapshotVersion: number;
  readonly state: unknown;
};

export type Collections = {
  readonly events: Collection<EventDocument>;
  readonly outbox: Collection<OutboxDocument>;
  readonly store: Collection<StoreDocument>;
  readonly snapshots: Collection<SnapshotDocument>;
};

export const collectionsOf = (db: Db): Collections => ({
  events: db.collection('events'),
  outbox: db.collection('outbox'),
  store: db.collection('store'),
  // Losing one costs time and no event, so no majority is waited for; whoever reads one checks it against the events.
  snapshots: db.collection('snapshots', { writeConcern: { w: 1 }, readConcern: { level: 'local' } }),
});

/** Names of the indexes, for hints. */
export const streamIndex = 'stream';
export const commandIndex = 'command';
export const typeIndex = 'type';

/** The events of a commit as they would stand from `position` on. */
export const toDocuments = (
  { stream, expectedVersion, events, metadata, commandDigest }: Commit,
  eventIds: readonly string[],
  position: number,
  timestamp: Date,
): EventDocument[] =>
  events.map((event, index) => ({
    _id: position + index,
    eventId: eventIds[index] ?? '',
    aggregateType: stream.aggregateType,
    aggregateId: stream.aggregateId,
    version: expectedVersion + index + 1,
    type: event.type,
    schemaVersion: event.schemaVersion,
    payload: event.payload,
    metadata,
    timestamp,
    commandIndex: index,
    commandDigest: index === 0 ? commandDigest : undefined,
  }));

export const toRecordedEvent = (document: EventDocument): RecordedEvent => ({
  id: document.eventId,
  aggregateType: document.aggregateType,
  aggregateId: document.aggregateId,
  version: document.version,
  position: document._id,
  type: document.type,
  schemaVersion: document.schemaVersion,
  payload: document.payload,
  metadata: document.metadata,
  timestamp: document.timestamp,
});

/** @param documents all events of one command, by `commandIndex` */
export const toStoredCommand = (documents: readonly EventDocument[]): StoredCommand => ({
  commandDigest: documents[0]?.commandDigest ?? null,
  events: documents.map(toRecordedEvent),
});
