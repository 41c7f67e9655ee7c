import { z } from 'zod';
import type { Snapshot, StoredSnapshot } from '../event-store/event-store.js';
import type { SnapshotPolicy } from './decider.js';

/** Does a document hold it as it is? An `undefined`, a Map or a bigint would come back as something else. */
const isPlainData = (value: unknown): boolean => {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return true;
  if (typeof value === 'string') return value.isWellFormed();
  if (Array.isArray(value)) return value.every(isPlainData);
  if (value instanceof Date) return !Number.isNaN(value.getTime());
  if (typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return false;
  return Object.values(value).every(isPlainData);
};

/** Does a stream that went from one version to another need a new snapshot? At each multiple of `every`. */
export const isSnapshotDue = ({ every }: SnapshotPolicy, before: number, after: number): boolean =>
  Math.floor(after / every) > Math.floor(before / every);

/**
 * What is to be stored of a state.
 * @throws Error the state does not match the schema of its own policy, or would not come back as it was: a defect of
 *   the decider, which costs its aggregates their snapshots and nothing else
 */
export const toSnapshot = (
  policy: SnapshotPolicy,
  { stream, version, eventId, state }: Omit<Snapshot, 'snapshotVersion'>,
): Snapshot => {
  if (!isPlainData(state)) {
    throw new Error(`The state of ${stream.aggregateType} is not plain data; make it so, or drop its snapshots policy`);
  }
  if (!policy.state.safeParse(state).success) {
    throw new Error(
      `The state of ${stream.aggregateType} does not match the schema of its snapshots policy; correct it`,
    );
  }
  return { stream, version, eventId, snapshotVersion: policy.snapshotVersion, state };
};

const envelope = z.object({ version: z.int().min(1), eventId: z.string(), snapshotVersion: z.int() });

/** Where a fold may start: a state, and the event that it claims to come right after. */
export type SnapshotStart = { readonly version: number; readonly eventId: string; readonly state: unknown };

/** What a stored snapshot says, if the decider of today can go on from it; null: it is of another version, or broken. */
export const fromSnapshot = (policy: SnapshotPolicy, stored: StoredSnapshot): SnapshotStart | null => {
  const found = envelope.safeParse(stored).data;
  if (found?.snapshotVersion !== policy.snapshotVersion) return null;
  // The schema only checks: what it might leave out or fill in, the folded state had or had not.
  if (!policy.state.safeParse(stored.state).success) return null;
  return { version: found.version, eventId: found.eventId, state: stored.state };
};
