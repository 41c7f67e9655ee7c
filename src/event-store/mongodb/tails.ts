import type { Filter } from 'mongodb';
import { streamKey, type StreamId } from '../../core/message.js';
import type { EventDocument } from './documents.js';

/** The events of a stream after a version. */
export type Tail = { readonly stream: StreamId; readonly afterVersion: number };

/** By `streamKey`; of a stream that is there several times the one that starts at the lowest version. */
export const lowestTails = (tails: readonly Tail[]): Map<string, Tail> => {
  const lowest = new Map<string, Tail>();
  for (const tail of tails) {
    const key = streamKey(tail.stream);
    const other = lowest.get(key);
    if (!other || tail.afterVersion < other.afterVersion) lowest.set(key, tail);
  }
  return lowest;
};

/**
 * One filter for many tails. Tails of one type that start at the same version share a branch, since measured for 500
 * streams one `$in` takes 5 ms, an `$or` of 500 branches 15 ms with a hint and 22 ms without.
 */
export const tailsFilter = (tails: readonly Tail[]): Filter<EventDocument> => {
  const branches = new Map<string, { aggregateType: string; afterVersion: number; ids: string[] }>();
  for (const { stream, afterVersion } of tails) {
    const key = `${afterVersion}/${stream.aggregateType}`;
    const branch = branches.get(key);
    if (branch) branch.ids.push(stream.aggregateId);
    else branches.set(key, { aggregateType: stream.aggregateType, afterVersion, ids: [stream.aggregateId] });
  }
  const filters = [...branches.values()].map(({ aggregateType, afterVersion, ids }) => ({
    aggregateType: { $eq: aggregateType },
    aggregateId: { $in: ids },
    version: { $gt: afterVersion },
  }));
  const [only] = filters;
  return filters.length === 1 && only ? only : { $or: filters };
};
