import type { FindCursor } from 'mongodb';
import { failureOf } from '../../mongodb/errors.js';
import { orAborted, type OpenRead, type ReadOptions } from './causal-reads.js';
import type { EventDocument } from './documents.js';

/** Documents of one answer of the server: what a reader has in memory at a time (the server ends an answer at 16 MB). */
export const pageSize = 1000;

/**
 * Documents that are decoded at a time when they are given one by one: those of a whole page would outlive the young
 * generation of the garbage collector, which costs 15 % of the processor time of a read (measured).
 */
const decodedAtOnce = 100;

type OpenCursor = { readonly cursor: FindCursor<EventDocument>; readonly read: OpenRead };

/**
 * What a cursor has, in arrays of at most `size`. Nothing is read before it is asked for, so a slow reader holds one page. The
 * server's cursor is closed however the reader leaves.
 */
async function* pagesIn(
  { cursor, read }: OpenCursor,
  size: number,
  signal?: AbortSignal,
): AsyncGenerator<EventDocument[]> {
  let asked: Promise<boolean> | null = null;
  const close = async (): Promise<void> => {
    await cursor.close();
    await read.end();
  };
  try {
    for (;;) {
      // What seems the end, or backwards the newest, may be so only for a new primary that does not know better yet.
      // Left to itself the driver heeds a signal before it asks for more documents, and not while it waits for them.
      asked = cursor.hasNext();
      const hasNext = await orAborted(orAborted(asked, read.superseded), signal);
      asked = null;
      if (!hasNext) return;
      yield cursor.readBufferedDocuments(size);
    }
  } finally {
    // While the server is at work for it a cursor cannot be closed for sure, and whoever aborts does not wait for that.
    if (asked && (signal?.aborted || read.superseded.aborted)) void asked.then(close, close);
    else await close();
  }
}

type Paging = {
  readonly limit?: number;
  /** Documents in an array: those given one by one are decoded in small ones. */
  readonly size?: number;
  readonly signal?: AbortSignal | undefined;
};

/**
 * The server forgets a cursor that waits for 10 minutes, at a restart and at a failover. Then a new one goes on behind
 * the last document given, which the order by position or version makes exact: nobody has to hurry or start anew.
 *
 * A cursor that gave nothing is not replaced, but for another primary: the driver tries a first read again by itself,
 * so that failed for good, and each cursor that is replaced has brought the reader further.
 * @param open a cursor of at most `limit` documents behind `last`; null: from the start
 */
export async function* pagesBehind(
  startRead: (signal?: AbortSignal) => Promise<OpenRead>,
  open: (options: ReadOptions, last: EventDocument | null, limit: number) => FindCursor<EventDocument>,
  { limit = Infinity, size = decodedAtOnce, signal }: Paging = {},
): AsyncGenerator<EventDocument[]> {
  let last: EventDocument | null = null;
  let left = limit;
  while (left > 0) {
    let gave = false;
    const read = await startRead(signal);
    try {
      for await (const page of pagesIn({ cursor: open(read.options, last, left), read }, size, signal)) {
        gave = true;
        last = page.at(-1) ?? last;
        left -= page.length;
        yield page;
      }
      return;
    } catch (error) {
      signal?.throwIfAborted();
      if (read.superseded.aborted) continue;
      const failure = failureOf(error);
      if (!gave || (failure !== 'unavailable' && failure !== 'transient')) throw error;
    }
  }
}
