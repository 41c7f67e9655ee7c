import type { DomainIndex } from '../core/domain.js';
import { isCurrent, pathText } from '../core/upcaster.js';
import type { EventStore, TypeVersion } from '../event-store/event-store.js';

/** The events of one shape, and how they become current ones. */
export type CheckedShape = TypeVersion & {
  /** `current`, the way there such as `user.named@1 → user.updated@1`, or null: there is none. */
  readonly path: string | null;
};

/**
 * Every event type and schema version in the store, by name, with its way to the shapes of now. Reads all events inside
 * the database, changes nothing. @throws WarrenError STORE_UNAVAILABLE
 */
export const checkEvents = async (deps: {
  readonly domains: DomainIndex;
  readonly eventStore: Pick<EventStore, 'typeVersions'>;
}): Promise<readonly CheckedShape[]> => {
  const found = await deps.eventStore.typeVersions();
  return found
    .map((shape): CheckedShape => {
      const domain = deps.domains.ofEvent(shape.type);
      if (!domain) return { ...shape, path: null };
      return { ...shape, path: isCurrent(domain, shape) ? 'current' : pathText(domain, shape) };
    })
    .sort((a, b) => (a.type === b.type ? a.schemaVersion - b.schemaVersion : a.type < b.type ? -1 : 1));
};
