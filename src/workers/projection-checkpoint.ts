import type { EventStore } from '../event-store/event-store.js';
import { WarrenError } from '../errors.js';
import type { ReadStore } from '../read-store/read-store.js';

/** The position up to which a projection is known to have everything; null before its first checkpoint. */
export type CheckpointReader = () => Promise<number | null>;

/**
 * @throws WarrenError STORE_CHANGED the checkpoint belongs to another store: a restore gave positions out again, so
 *   going on would skip events
 */
export const makeCheckpointReader = (
  name: string,
  deps: { readonly eventStore: Pick<EventStore, 'storeId'>; readonly readStore: Pick<ReadStore, 'checkpoint'> },
): CheckpointReader => {
  return async () => {
    const checkpoint = await deps.readStore.checkpoint(name);
    if (!checkpoint) return null;
    const storeId = await deps.eventStore.storeId();
    if (checkpoint.storeId === storeId) return checkpoint.position;
    throw new WarrenError(
      'STORE_CHANGED',
      `The checkpoint of ${name} is of store ${checkpoint.storeId}, this store is ${storeId}; rebuild ${name}: drop its collections and its document in checkpoints`,
    );
  };
};
