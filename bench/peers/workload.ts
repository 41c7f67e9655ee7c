import { randomUUID } from 'node:crypto';
import type { Append, Peer, PeerEvent } from './store.js';

export type Figure = { readonly events: number; readonly seconds: number };

/** Events of a stream. */
const streamLength = 5;

const newEvent = (): PeerEvent => ({
  type: 'user.updated',
  payload: { name: 'Ann', email: 'ann@example.org', note: 'x'.repeat(100) },
});

/** Streams that `append` filled, for the reads. */
export type Filled = string[];

/** Runs `callers` loops for so long. */
const forSeconds = async (seconds: number, callers: number, step: () => Promise<number>): Promise<Figure> => {
  const startedAt = performance.now();
  const caller = async (): Promise<number> => {
    let events = 0;
    while (performance.now() - startedAt < seconds * 1000) events += await step();
    return events;
  };
  const counts = await Promise.all(Array.from({ length: callers }, caller));
  return { events: counts.reduce((sum, count) => sum + count, 0), seconds: (performance.now() - startedAt) / 1000 };
};

/** A stream of five events, in as many appends as `eventsAnAppend` makes of them, one after the other. */
const appendStreams = (peer: Peer, filled: Filled, eventsAnAppend: number) => async (): Promise<number> => {
  const stream = randomUUID();
  for (let expectedVersion = 0; expectedVersion < streamLength; expectedVersion += eventsAnAppend) {
    await peer.append({ stream, expectedVersion, events: Array.from({ length: eventsAnAppend }, newEvent) });
  }
  filled.push(stream);
  return streamLength;
};

/** So many streams, an event each a call. */
const appendBatches = (peer: Peer, streams: number) => async (): Promise<number> => {
  const ids = Array.from({ length: streams }, () => randomUUID());
  for (let expectedVersion = 0; expectedVersion < streamLength; expectedVersion += 1) {
    await peer.appendMany?.(ids.map((stream): Append => ({ stream, expectedVersion, events: [newEvent()] })));
  }
  return streams * streamLength;
};

const readStreams = (peer: Peer, filled: Filled) => {
  let next = 0;
  return async (): Promise<number> => {
    const stream = filled[next++ % filled.length] ?? '';
    const events = await peer.readStream(stream);
    if (events !== streamLength) throw new Error(`${peer.name} reads ${events} events of ${streamLength}`);
    return events;
  };
};

type Measurement = {
  readonly name: string;
  /** null: the store has nothing of the kind. */
  readonly run: (peer: Peer, filled: Filled, seconds: number) => Promise<Figure> | null;
};

/** In this order: the reads read what was appended. */
export const measurements: readonly Measurement[] = [
  ...[1, 8].map((callers) => ({
    name: `append 1 event, ${callers} caller${callers === 1 ? '' : 's'}`,
    run: (peer: Peer, filled: Filled, seconds: number) => forSeconds(seconds, callers, appendStreams(peer, filled, 1)),
  })),
  {
    name: 'append 5 events at once, 8 callers',
    run: (peer, filled, seconds) => forSeconds(seconds, 8, appendStreams(peer, filled, 5)),
  },
  {
    name: 'append to 100 streams a call, 1 caller',
    run: (peer, _, seconds) => (peer.appendMany ? forSeconds(seconds, 1, appendBatches(peer, 100)) : null),
  },
  {
    name: 'read a stream of 5, 8 callers',
    run: (peer, filled, seconds) => forSeconds(seconds, 8, readStreams(peer, filled)),
  },
  {
    name: 'read all in global order, 1 caller',
    run: (peer, _, seconds) => (peer.readAll ? forSeconds(seconds, 1, peer.readAll) : null),
  },
];
