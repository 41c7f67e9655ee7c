import { setTimeout as delay } from 'node:timers/promises';
import type { Domain } from '../core/domain.js';
import type { RecordedEvent } from '../core/message.js';
import type { Projection } from '../core/projection.js';
import { storedTypesOf } from '../core/upcaster.js';
import type { EventStore } from '../event-store/event-store.js';
import { lagging } from '../read-store/applied.js';
import type { ReadStore, StoredDocument } from '../read-store/read-store.js';
import { HttpProblem, unavailable } from './problems.js';

/** How far a read is behind what was asked for. */
export type Lag = {
  readonly of: 'version' | 'position';
  readonly wanted: number;
  readonly found: number;
  readonly behind: number;
};

const pageSize = 500;
const firstPauseMs = 20;
const longestPauseMs = 50;

const lagOf = (of: Lag['of'], wanted: number, found: number): Lag => ({ of, wanted, found, behind: wanted - found });

const stopped = (): HttpProblem => unavailable('SHUTTING_DOWN', 'The server stops or the client went away; ask again');

/**
 * Looks at `lagNow` until it gives null, at first every 20 ms, then every 50 ms; `waitMs` 0 looks once.
 * @throws HttpProblem 504 with the last lag when the wait ends first, 503 when `signal` ends it
 */
export const waitUntil = async (
  lagNow: () => Promise<Lag | null>,
  waitMs: number,
  signal: AbortSignal,
): Promise<void> => {
  const endsAt = performance.now() + waitMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs + 5, longestPauseMs)) {
    const lag = await lagNow();
    if (lag === null) return;
    const leftMs = endsAt - performance.now();
    if (leftMs <= 0) {
      const detail = `The read is at ${lag.of} ${lag.found}, ${lag.behind} behind the ${lag.wanted} asked for; ask again or wait longer`;
      throw new HttpProblem(504, 'READ_LAGS', detail, { lag });
    }
    await delay(Math.min(pauseMs, Math.max(leftMs, 1)), undefined, { signal }).catch(() => {
      throw stopped();
    });
  }
};

export type Freshness = { readonly minVersion: number; readonly afterPosition: number };

type Deps = {
  readonly eventStore: Pick<EventStore, 'readStream' | 'readAll' | 'headPosition' | 'storeId'>;
  readonly readStore: Pick<ReadStore, 'read' | 'checkpoint'>;
};

/** Positions not given out yet: an answer "after position 9" cannot be right while the store ends at 7. */
export const headLag = async (eventStore: Pick<EventStore, 'headPosition'>, wanted: number): Promise<Lag | null> => {
  const head = await eventStore.headPosition();
  return head < wanted ? lagOf('position', wanted, head) : null;
};

/** The last version of the stream at a position up to `toPosition`, looking only after `afterVersion`. */
const lastVersionUpTo = async (
  { eventStore }: Deps,
  domain: Domain,
  aggregateId: string,
  afterVersion: number,
  toPosition: number,
): Promise<number> => {
  let version = 0;
  const stream = { aggregateType: domain.aggregateType, aggregateId };
  for await (const event of eventStore.readStream(stream, { afterVersion })) {
    if (event.position > toPosition) break;
    version = event.version;
  }
  return version;
};

/**
 * Follows one document of a keyed read model: `lag` reads it, says what it lacks of `wanted`, and leaves it in
 * `document()`. The position is turned into a version once, so that each further look is one read.
 */
export const makeDocumentReader = (deps: Deps, domain: Domain, collection: string, id: string, wanted: Freshness) => {
  let document: StoredDocument | undefined;
  let wantedVersion = wanted.minVersion;
  let positionIsResolved = wanted.afterPosition === 0;
  return {
    document: () => document,
    lag: async (): Promise<Lag | null> => {
      const missing = positionIsResolved ? null : await headLag(deps.eventStore, wanted.afterPosition);
      if (missing) return missing;
      document = (await deps.readStore.read(collection, [id])).get(id);
      const version = document?.version ?? 0;
      if (!positionIsResolved) {
        const last = await lastVersionUpTo(deps, domain, id, version, wanted.afterPosition);
        wantedVersion = Math.max(wantedVersion, last);
        positionIsResolved = true;
      }
      return version < wantedVersion ? lagOf('version', wantedVersion, version) : null;
    },
  };
};

const collect = async (events: AsyncIterable<RecordedEvent>): Promise<RecordedEvent[]> => {
  const collected: RecordedEvent[] = [];
  for await (const event of events) collected.push(event);
  return collected;
};

/**
 * Follows a whole read model: the result is null once every event up to `wanted` is in it. An ordered one says so by
 * its checkpoint. A keyed one has a version in each document, so the events between its checkpoint (which the
 * projection worker moves only every few seconds) and `wanted` are compared with the documents; what one look found
 * applied the next does not compare again.
 */
export const makeCollectionLag = (
  { eventStore, readStore }: Deps,
  { domain, projection, wanted }: { readonly domain: Domain; readonly projection: Projection; readonly wanted: number },
  signal: AbortSignal,
): (() => Promise<Lag | null>) => {
  const types = storedTypesOf(domain);
  let applied = 0;

  const readPage = (limit: number): Promise<RecordedEvent[]> =>
    collect(eventStore.readAll({ afterPosition: applied, toPosition: wanted, types, limit }));

  const orderedLag = async (): Promise<Lag | null> =>
    (await readPage(1)).length > 0 ? lagOf('position', wanted, applied) : null;

  const keyedLag = async (): Promise<Lag | null> => {
    while (applied < wanted) {
      if (signal.aborted) throw stopped();
      const page = await readPage(pageSize);
      const behind = await lagging(page, readStore, projection.name);
      const versions = new Map(behind.map(({ aggregateId, applied: version }) => [aggregateId, version]));
      const first = page.find((event) => event.version > (versions.get(event.aggregateId) ?? Infinity));
      if (first) return lagOf('position', wanted, first.position - 1);
      applied = page.length < pageSize ? wanted : (page.at(-1)?.position ?? wanted);
    }
    return null;
  };

  return async () => {
    if (wanted === 0) return null;
    const missing = await headLag(eventStore, wanted);
    if (missing) return missing;
    const checkpoint = await readStore.checkpoint(projection.name);
    // A checkpoint of another store counts other positions: it says nothing here.
    if (checkpoint?.storeId === (await eventStore.storeId())) applied = Math.max(applied, checkpoint.position);
    if (applied >= wanted) return null;
    return projection.kind === 'ordered' ? orderedLag() : keyedLag();
  };
};
