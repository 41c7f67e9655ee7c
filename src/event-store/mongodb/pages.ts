import type { ClientSession, FindCursor } from 'mongodb';
import { asError } from '../../errors.js';
import { failureOf } from '../../mongodb/errors.js';
import type { EventDocument } from './documents.js';

/** Documents of one answer of the server: what a reader has in memory at a time (the server ends an answer at 16 MB). */
export const pageSize = 1000;

/**
 * Documents that are decoded at a time when they are given one by one: those of a whole page would outlive the young
 * generation of the garbage collector, which costs 15 % of the processor time of a read (measured).
 */
const decodedAtOnce = 100;

/** With the session it was opened in, if that is its own. */
export type OpenCursor = { readonly cursor: FindCursor<EventDocument>; readonly session?: ClientSession };

/** Left to itself the driver heeds a signal before it asks for more documents, and not while it waits for them. */
const orAborted = <T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
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

/**
 * What a cursor has, in arrays of at most `size`. Nothing is read before it is asked for, so a slow reader holds one page. The
 * server's cursor is closed however the reader leaves.
 */
export async function* pagesIn(
  { cursor, session }: OpenCursor,
  size: number,
  signal?: AbortSignal,
): AsyncGenerator<EventDocument[]> {
  let asked: Promise<boolean> | null = null;
  const close = async (): Promise<void> => {
    await cursor.close();
    await session?.endSession();
  };
  try {
    for (;;) {
      asked = cursor.hasNext();
      if (!(await orAborted(asked, signal))) return;
      asked = null;
      yield cursor.readBufferedDocuments(size);
    }
  } finally {
    // While the server is at work for it a cursor cannot be closed for sure, and whoever aborts does not wait for that.
    if (asked && signal?.aborted) void asked.then(close, close);
    else await close();
  }
}

/**
 * The server forgets a cursor that waits for 10 minutes, at a restart and at a failover. Then a new one goes on behind
 * the last document given, which the order by position or version makes exact: nobody has to hurry or start anew.
 *
 * A cursor that gave nothing is not replaced: the driver tries a first read again by itself, so that failed for good,
 * and each cursor that is replaced has brought the reader further.
 * @param open a cursor of at most `limit` documents behind `last`; null: from the start
 */
export async function* pagesBehind(
  open: (last: EventDocument | null, limit: number) => OpenCursor,
  limit: number,
  signal?: AbortSignal,
): AsyncGenerator<EventDocument[]> {
  let last: EventDocument | null = null;
  let left = limit;
  while (left > 0) {
    let gave = false;
    try {
      for await (const page of pagesIn(open(last, left), decodedAtOnce, signal)) {
        gave = true;
        last = page.at(-1) ?? last;
        left -= page.length;
        yield page;
      }
      return;
    } catch (error) {
      signal?.throwIfAborted();
      const failure = failureOf(error);
      if (!gave || (failure !== 'unavailable' && failure !== 'transient')) throw error;
    }
  }
}
