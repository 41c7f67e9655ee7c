import { aggregateIdsOf } from '../core/fold-projection.js';
import type { RecordedEvent } from '../core/message.js';
import { asError, hasCode } from '../errors.js';

/**
 * Applies events together; if that fails, those of each aggregate alone, so that one that cannot be applied stops no
 * others.
 * @returns the aggregates that cannot be applied, and why @throws WarrenError STORE_UNAVAILABLE
 */
export const applyApart = async (
  events: readonly RecordedEvent[],
  apply: (events: readonly RecordedEvent[]) => Promise<unknown>,
): Promise<ReadonlyMap<string, Error>> => {
  const failing = new Map<string, Error>();
  try {
    if (events.length > 0) await apply(events);
  } catch (error) {
    if (hasCode(error, 'STORE_UNAVAILABLE')) throw error;
    for (const id of aggregateIdsOf(events)) {
      const own = events.filter(({ aggregateId }) => aggregateId === id);
      await apply(own).catch((cause: unknown) => {
        if (hasCode(cause, 'STORE_UNAVAILABLE')) throw cause;
        failing.set(id, asError(cause));
      });
    }
  }
  return failing;
};
