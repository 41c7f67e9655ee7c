import type { z } from 'zod';
import type { Command, NewEvent } from './message.js';

/** What a decider answers. A rejection is a value with a stable code, not an exception. */
export type Decision<E extends NewEvent = NewEvent> =
  | { readonly accepted: true; readonly events: readonly E[] }
  | { readonly accepted: false; readonly code: string; readonly message: string };

/** The command is granted; no events: there was nothing to change. */
export const accept = <E extends NewEvent>(...events: readonly E[]): Decision<E> => ({ accepted: true, events });

/** A business rule says no. `code` is stable and upper case, `message` says why to a person. */
export const reject = (code: string, message: string): Decision<never> => ({ accepted: false, code, message });

/** All that a decision may know beside the state and the command. */
export type DecisionContext = { readonly now: Date };

/**
 * When the state of a long stream is kept, so that loading it reads only what came after. `every`: about each so many
 * events. `snapshotVersion` has to change with whatever changes the state that the same events give (`evolve`, the
 * shape of the state, an upcaster): snapshots of another version are ignored. `state` is what a kept state looks like; it only
 * checks, it changes nothing. The state is plain data: texts, numbers, booleans, nulls, Dates, lists and objects of them.
 */
export type SnapshotPolicy<State = unknown> = {
  readonly every: number;
  readonly snapshotVersion: number;
  readonly state: z.ZodType<State>;
};

/**
 * The rules of one kind of aggregate, as three pure things. `decide` and `evolve` read no clock, id or random number
 * and change nothing; `evolve` never refuses an event that was stored.
 */
export type Decider<State = unknown, C extends Command = Command, E extends NewEvent = NewEvent> = {
  readonly initialState: State;
  decide(command: C, state: State, context: DecisionContext): Decision<E>;
  evolve(state: State, event: E): State;
  /** Worth it where streams get longer than some hundred events. */
  readonly snapshots?: SnapshotPolicy<State>;
};

/** The state after `events`, from `state` (a decider's initial state or a later one). */
export const fold = <State, E extends NewEvent>(
  decider: Pick<Decider<State, never, E>, 'evolve'>,
  state: State,
  events: readonly E[],
): State => events.reduce((current, event) => decider.evolve(current, event), state);
