import type { ClientSession, Collection, MongoClient, Timestamp, TopologyDescriptionChangedEvent } from 'mongodb';
import { setMaxListeners } from 'node:events';
import { asError, WarrenError } from '../../errors.js';
import { translated } from '../../mongodb/errors.js';
import type { EventDocument } from './documents.js';

/** How long a read waits for a new primary to know what a majority has. */
const catchUpLimitMs = 5_000;

/** For each command of a read. */
export type ReadOptions = {
  readonly session: ClientSession;
  /** As a literal, of which the driver makes an object for each command: it writes the time into the one it has. */
  readonly readConcern: { readonly level: 'majority' };
};

export type OpenRead = {
  readonly options: ReadOptions;
  /** Aborted when another primary is seen: the driver may have asked that one by itself, with the time of the one before. */
  readonly superseded: AbortSignal;
  readonly end: () => Promise<void>;
};

/** @throws the signal's reason; the work goes on. */
export const orAborted = <T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(asError(signal.reason));
    };
    signal.addEventListener('abort', abort);
    void work.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', abort);
    });
    if (signal.aborted) abort();
  });
};

/** The time of office of a primary; many reads at a time listen for its end. */
const makeOffice = (): AbortController => {
  const office = new AbortController();
  setMaxListeners(0, office.signal);
  return office;
};

/** Tells one time of office from another. */
const primaryIn = ({ newDescription }: TopologyDescriptionChangedEvent): string | undefined => {
  for (const { type, address, electionId } of newDescription.servers.values()) {
    if (type === 'RSPrimary') return `${address} ${electionId?.toHexString() ?? ''}`;
  }
  return undefined;
};

/**
 * Reads that find every event that was acknowledged, by whatever process, before they began.
 *
 * A majority read alone does not after a failover: the new primary has all that was acknowledged, and does not know at
 * once that a majority has it. So with each primary the first read asks for the time of the newest it has, and waits
 * until that is a majority's. Reads after it wait for nothing, and carry the time of what was seen for the case that
 * they reach another primary before we have heard of it.
 */
export const makeCausalReads = (client: MongoClient, events: Collection<EventDocument>) => {
  let seen: Timestamp | undefined;
  let primary: string | undefined;
  /** Of the primary that was seen last; aborted when there is another. */
  let office = makeOffice();
  let caughtUpIn: AbortController | null = null;
  let catchingUp: Promise<void> | null = null;

  /** The driver tells us before it gives the new primary to those that wait for one. */
  const onTopology = (event: TopologyDescriptionChangedEvent): void => {
    const found = primaryIn(event);
    if (found === undefined || found === primary) return;
    primary = found;
    const last = office;
    office = makeOffice();
    last.abort(new WarrenError('STORE_UNAVAILABLE', 'Another primary was elected during a read of MongoDB'));
  };
  client.on('topologyDescriptionChanged', onTopology);

  const advance = (time: Timestamp | undefined): void => {
    if (time && (!seen || time.greaterThan(seen))) seen = time;
  };

  const catchUp = async (): Promise<void> => {
    while (caughtUpIn !== office) {
      const asked = office;
      const session = client.startSession({ causalConsistency: true });
      // Of no document. A find, since a server that is no primary refuses it, and the driver then tries the next one
      const ask = (level: 'local' | 'majority') =>
        events.findOne(
          { _id: 0 },
          { projection: { _id: 1 }, hint: '_id_', readConcern: { level }, session, maxTimeMS: catchUpLimitMs },
        );
      try {
        await ask('local');
        await ask('majority');
        advance(session.operationTime);
        // Else the first answer may be of the primary before, which lacks what the next one has acknowledged
        if (asked === office) caughtUpIn = asked;
      } finally {
        await session.endSession();
      }
    }
  };

  const open = async (signal?: AbortSignal): Promise<OpenRead> => {
    while (caughtUpIn !== office) {
      catchingUp ??= catchUp().finally(() => (catchingUp = null));
      await orAborted(catchingUp, signal);
    }
    const superseded = office.signal;
    const session = client.startSession({ causalConsistency: true });
    if (seen) session.advanceOperationTime(seen);
    return {
      options: { session, readConcern: { level: 'majority' } },
      superseded,
      end: () => session.endSession(),
    };
  };

  /**
   * One answer. Starts again when another primary is elected meanwhile.
   * @param what it does, for the message: `count events`
   * @throws WarrenError as `translated` makes it
   */
  const read = <T>(what: string, ask: (options: ReadOptions) => Promise<T>, signal?: AbortSignal): Promise<T> =>
    translated(what, async () => {
      for (;;) {
        const { options, superseded, end } = await open(signal);
        const asked = ask(options);
        // The first is not waited for: the new primary may keep it for as long as no majority follows.
        void asked.then(end, end);
        try {
          const answer = await orAborted(asked, superseded);
          advance(options.session.operationTime);
          return answer;
        } catch (error) {
          signal?.throwIfAborted();
          if (!superseded.aborted) throw error;
        }
      }
    });

  return {
    /** For a cursor; the reader ends it. */
    open,
    read,
    /** Of a transaction of this process that a majority has. */
    advance,
    close: (): void => {
      client.off('topologyDescriptionChanged', onTopology);
    },
  };
};
