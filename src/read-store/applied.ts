import type { RecordedEvent } from '../core/message.js';
import type { ReadStore } from './read-store.js';

/** A stream whose document has not applied everything asked about: it is at `applied`, an event has version `stored`. */
export type LaggingStream = {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly applied: number;
  readonly stored: number;
};

/**
 * Compares a page of events of one domain with the keyed read model of that domain, in one read: the streams among
 * them whose document is absent or older than their last event of the page. Empty: all of the page is applied, since
 * a document applies versions without a hole.
 * @throws WarrenError STORE_UNAVAILABLE
 */
export const lagging = async (
  events: readonly RecordedEvent[],
  readStore: Pick<ReadStore, 'read'>,
  collection: string,
): Promise<readonly LaggingStream[]> => {
  const last = new Map<string, RecordedEvent>();
  for (const event of events) {
    const known = last.get(event.aggregateId);
    if (!known || known.version < event.version) last.set(event.aggregateId, event);
  }
  if (last.size === 0) return [];
  const documents = await readStore.read(collection, [...last.keys()]);
  return [...last.values()].flatMap(({ aggregateType, aggregateId, version }) => {
    const applied = documents.get(aggregateId)?.version ?? 0;
    return applied < version ? [{ aggregateType, aggregateId, applied, stored: version }] : [];
  });
};
