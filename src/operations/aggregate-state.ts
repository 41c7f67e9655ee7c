import { z } from 'zod';
import type { DomainIndex } from '../core/domain.js';
import { shortText } from '../core/text.js';
import { foldStored } from '../core/upcast.js';
import { WarrenError } from '../errors.js';
import type { EventStore } from '../event-store/event-store.js';

/** The descriptions say in words what is taken, for whoever is asked for it. */
export const aggregateStateInput = z
  .strictObject({
    aggregateType: shortText,
    aggregateId: shortText.describe('1 to 200 characters, at most 255 bytes, no control characters'),
    /** The state after this version of the stream. */
    version: z.int().min(1).optional().describe('a whole number, 1 or more'),
    /** The state at this time. */
    at: z.date().optional(),
  })
  .refine(({ version, at }) => version === undefined || at === undefined, 'give version or at, not both');

type AggregateStateInput = z.infer<typeof aggregateStateInput>;

export type AggregateState = {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  /** Of the event that made this version. */
  readonly time: Date;
  readonly state: unknown;
};

/**
 * The state of an aggregate now, at a version or at a time, from its events alone: no snapshot and no remembered state is
 * asked, so this is what those can be compared with. Reads the stream from its start, in bounded memory.
 *
 * Times are those of the clocks of the workers that stored the events, and may go back along a stream by as much as
 * those differ. Since no event happened before the one before it, the state at a time is the one before the first event
 * that is later: exact where the clocks agree, else off by their difference.
 *
 * @throws WarrenError NOT_FOUND: no such type, aggregate or version, or it did not exist at that time; UNKNOWN_EVENT;
 *   STORE_UNAVAILABLE
 */
export const aggregateState = async (
  deps: { readonly domains: DomainIndex; readonly eventStore: Pick<EventStore, 'readStream'> },
  input: AggregateStateInput,
): Promise<AggregateState> => {
  const { aggregateType, aggregateId, version: toVersion, at } = aggregateStateInput.parse(input);
  const domain = deps.domains.ofAggregate(aggregateType);
  if (!domain) {
    const known = deps.domains.domains.map((each) => each.aggregateType).join(', ');
    throw new WarrenError('NOT_FOUND', `There are no aggregates of type ${aggregateType}; there are: ${known}`);
  }
  const stream = { aggregateType, aggregateId };
  let found: { readonly version: number; readonly time: Date } | null = null;
  let state = domain.decider.initialState;
  for await (const event of deps.eventStore.readStream(stream, toVersion === undefined ? {} : { toVersion })) {
    if (at && event.timestamp > at) {
      if (found) break;
      const first = event.timestamp.toISOString();
      throw new WarrenError(
        'NOT_FOUND',
        `There was no ${aggregateType} ${aggregateId} yet; its first event is of ${first}`,
      );
    }
    state = foldStored(domain, state, [event]);
    found = { version: event.version, time: event.timestamp };
  }
  if (!found) throw new WarrenError('NOT_FOUND', `There is no ${aggregateType} ${aggregateId}; check its id`);
  if (toVersion !== undefined && found.version < toVersion) {
    const message = `${aggregateType} ${aggregateId} has no version ${toVersion}; its last one is ${found.version}`;
    throw new WarrenError('NOT_FOUND', message);
  }
  return { ...stream, ...found, state };
};
