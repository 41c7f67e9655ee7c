import type { Domain } from '../core/domain.js';
import type { LoadedStream } from '../core/handle-commands.js';
import { streamKey, type RecordedEvent, type StreamId } from '../core/message.js';
import { fromSnapshot, isSnapshotDue, type SnapshotStart } from '../core/snapshot.js';
import { foldStored } from '../core/upcast.js';
import type { EventStore, StoredSnapshot } from '../event-store/event-store.js';
import type { Logger } from '../logger.js';
import type { SnapshotWriter } from './snapshot-writer.js';

type State = { readonly version: number; readonly state: unknown };

/** A stream whose state is wanted. `known`: one that was read or appended before; it needs only what came after. */
export type WantedAggregate = { readonly stream: StreamId; readonly domain: Domain; readonly known?: State };

export type Aggregates = {
  /**
   * The states of these streams as they are now, by `streamKey`: one round trip for those that may have a snapshot, one
   * for the events after it, in pages. What cannot be folded is `broken`, alone. No trouble with snapshots gets through.
   * @throws WarrenError STORE_UNAVAILABLE: call again, nothing of it is kept
   */
  load(wanted: readonly WantedAggregate[]): Promise<ReadonlyMap<string, LoadedStream>>;
  /** Says that these events were appended by this process, and that `state` is the state after them. */
  appended(domain: Domain, events: readonly RecordedEvent[], state: unknown): void;
};

type Reading = {
  readonly wanted: WantedAggregate;
  /** Where the fold began is a snapshot that no event has confirmed yet. */
  unconfirmed: SnapshotStart | null;
  version: number;
  state: unknown;
  /** Events folded, and the id of the last. */
  folded: number;
  lastEventId: string;
  failure: { readonly cause: unknown } | null;
};

const byStream = (page: readonly RecordedEvent[]): Map<string, RecordedEvent[]> => {
  const streams = new Map<string, RecordedEvent[]>();
  for (const event of page) {
    const key = streamKey(event);
    const stream = streams.get(key);
    if (stream) stream.push(event);
    else streams.set(key, [event]);
  }
  return streams;
};

/** Goes on by these events. A failure stays: a state is folded whole or not at all. */
const advance = (reading: Reading, events: readonly RecordedEvent[]): void => {
  if (reading.failure) return;
  try {
    let after = events;
    if (reading.unconfirmed) {
      const [first, ...rest] = events;
      const { version, eventId } = reading.unconfirmed;
      if (first?.version !== version || first.id !== eventId) throw new Error('The snapshot is of another stream');
      reading.unconfirmed = null;
      after = rest;
    }
    const last = after.at(-1);
    if (!last) return;
    reading.state = foldStored(reading.wanted.domain, reading.state, after);
    reading.version = last.version;
    reading.lastEventId = last.id;
    reading.folded += after.length;
  } catch (cause) {
    reading.failure = { cause };
  }
};

/**
 * Loads aggregates: snapshot, then the events after it. A snapshot counts only if the stream has the very event that it was
 * made at, so the read starts with that one; otherwise, or where the fold fails upon it, the stream is read from its start.
 * @param deps.snapshots gets the states worth keeping; without it this reads snapshots and writes none
 */
export const makeAggregates = (deps: {
  readonly eventStore: Pick<EventStore, 'readTails'> & { readonly snapshots: Pick<EventStore['snapshots'], 'read'> };
  readonly log: Logger;
  readonly snapshots?: Pick<SnapshotWriter, 'offer'>;
}): Aggregates => {
  const { eventStore, log, snapshots } = deps;
  let isFailing = false;

  const storedSnapshots = async (wanted: readonly WantedAggregate[]): Promise<ReadonlyMap<string, StoredSnapshot>> => {
    const streams = wanted.flatMap(({ stream, domain, known }) => (domain.decider.snapshots && !known ? [stream] : []));
    if (streams.length === 0) return new Map();
    try {
      const found = await eventStore.snapshots.read(streams);
      isFailing = false;
      return found;
    } catch (err) {
      if (!isFailing) log.warn({ err }, 'cannot read snapshots; streams are read from their start');
      isFailing = true;
      return new Map();
    }
  };

  /** @param starts what each begins at: a snapshot, or null for `known` or the start of the stream */
  const read = async (
    starts: readonly (readonly [WantedAggregate, SnapshotStart | null])[],
  ): Promise<Map<string, Reading>> => {
    const readings = new Map(
      starts.map(([wanted, unconfirmed]): [string, Reading] => {
        const { version, state } = unconfirmed ??
          wanted.known ?? { version: 0, state: wanted.domain.decider.initialState };
        const reading = { wanted, unconfirmed, version, state, folded: 0, lastEventId: '', failure: null };
        return [streamKey(wanted.stream), reading];
      }),
    );
    const tails = [...readings.values()].map(({ wanted: { stream }, unconfirmed, version }) => ({
      stream,
      afterVersion: unconfirmed ? version - 1 : version,
    }));
    for await (const page of eventStore.readTails(tails)) {
      for (const [key, events] of byStream(page)) {
        const reading = readings.get(key);
        if (reading) advance(reading, events);
      }
    }
    return readings;
  };

  const offer = ({ wanted: { stream, domain }, version, state, lastEventId }: Reading, overwrite: boolean): void => {
    const policy = domain.decider.snapshots;
    if (policy) snapshots?.offer({ policy, stream, version, eventId: lastEventId, state, overwrite });
  };

  return {
    load: async (wanted) => {
      const stored = await storedSnapshots(wanted);
      const starts = wanted.map((each) => {
        const [policy, found] = [each.domain.decider.snapshots, stored.get(streamKey(each.stream))];
        return [each, policy && found ? fromSnapshot(policy, found) : null] as const;
      });
      const readings = await read(starts);
      const refused = starts.flatMap(([each, snapshot]) => {
        const reading = readings.get(streamKey(each.stream));
        return snapshot && (reading?.unconfirmed || reading?.failure) ? [[each, null] as const] : [];
      });
      const again = refused.length === 0 ? new Map<string, Reading>() : await read(refused);

      const streams = new Map<string, LoadedStream>();
      for (const [key, first] of readings) {
        const reading = again.get(key) ?? first;
        const { version, state, failure, folded } = reading;
        streams.set(key, failure ? { broken: failure.cause } : { version, state, fresh: true });
        if (failure || folded === 0) continue;
        const isUseless = stored.has(key) && folded === version;
        const policy = reading.wanted.domain.decider.snapshots;
        if (isUseless || (policy && folded > policy.every)) offer(reading, isUseless);
      }
      return streams;
    },

    appended: (domain, events, state) => {
      const [policy, first, last] = [domain.decider.snapshots, events[0], events.at(-1)];
      if (!policy || !first || !last || !isSnapshotDue(policy, first.version - 1, last.version)) return;
      const { aggregateType, aggregateId, version, id: eventId } = last;
      snapshots?.offer({ policy, stream: { aggregateType, aggregateId }, version, eventId, state, overwrite: false });
    },
  };
};
