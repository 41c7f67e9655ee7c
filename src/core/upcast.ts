import { fold } from './decider.js';
import type { Domain } from './domain.js';
import type { RecordedEvent } from './message.js';

/** The state after stored `events` of one aggregate of this domain, from `state` (the initial one or a later one). */
export const foldStored = (
  domain: Pick<Domain, 'decider'>,
  state: unknown,
  events: readonly RecordedEvent[],
): unknown => fold(domain.decider, state, events);
