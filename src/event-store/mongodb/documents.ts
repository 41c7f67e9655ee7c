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
  /** On the first event of a command only. */
  readonly commandDigest?: string;
};

/** Positions `_id` to `last`; `at`, by the server's clock, is when they were written or last taken over. */
export type OutboxDocument = { readonly _id: number; readonly last: number; readonly at: Date };

/** `contendedAt`: when a writer last told that it loses every race for a position. */
type StoreDocument = { readonly _id: 'store'; readonly id: string; readonly contendedAt?: Date };

export type Collections = {
  readonly events: Collection<EventDocument>;
  readonly outbox: Collection<OutboxDocument>;
  readonly store: Collection<StoreDocument>;
};

export const collectionsOf = (db: Db): Collections => ({
  events: db.collection('events'),
  outbox: db.collection('outbox'),
  store: db.collection('store'),
});

/** Names of the indexes, for hints. */
export const streamIndex = 'stream';
export const commandIndex = 'command';
export const typeIndex = 'type';

/** The events of a commit as they would stand from `position` on. */
export const toDocuments = (
  commit: Commit,
  eventIds: readonly string[],
  position: number,
  timestamp: Date,
): EventDocument[] =>
  commit.events.map((event, index) => ({
    _id: position + index,
    eventId: eventIds[index] ?? '',
    aggregateType: commit.stream.aggregateType,
    aggregateId: commit.stream.aggregateId,
    version: commit.expectedVersion + index + 1,
    type: event.type,
    schemaVersion: event.schemaVersion,
    payload: event.payload,
    metadata: commit.metadata,
    timestamp,
    commandIndex: index,
    ...(index === 0 ? { commandDigest: commit.commandDigest } : {}),
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
