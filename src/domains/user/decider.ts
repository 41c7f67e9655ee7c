import { z } from 'zod';
import { accept, reject, type Decider, type Decision } from '../../core/decider.js';
import type { UserCommand, UserEvent } from './messages.js';

export type User =
  | { readonly status: 'none' }
  | { readonly status: 'active' | 'inactive'; readonly email: string; readonly name: string };

/** Why this user cannot be changed; null: it can. */
const refusal = (id: string, state: User): Decision<never> | null => {
  switch (state.status) {
    case 'none':
      return reject('USER_NOT_FOUND', `There is no user ${id}; create it first`);
    case 'inactive':
      return reject('USER_NOT_ACTIVE', `User ${id} is deactivated and can no longer be changed`);
    case 'active':
      return null;
  }
};

const decide = (command: UserCommand, state: User): Decision<UserEvent> => {
  const { aggregateId: id, type, payload } = command;
  switch (type) {
    case 'user.create':
      return state.status === 'none'
        ? accept({ type: 'user.created', payload })
        : reject('USER_ALREADY_EXISTS', `There is a user ${id} already; take another id`);
    case 'user.update':
      return (
        refusal(id, state) ??
        (state.status !== 'none' && state.name === payload.name ? accept() : accept({ type: 'user.updated', payload }))
      );
    case 'user.deactivate':
      return refusal(id, state) ?? accept({ type: 'user.deactivated', payload });
  }
};

const evolve = (state: User, event: UserEvent): User => {
  switch (event.type) {
    case 'user.created':
      return { status: 'active', ...event.payload };
    case 'user.updated':
      return state.status === 'none' ? state : { ...state, name: event.payload.name };
    case 'user.deactivated':
      return state.status === 'none' ? state : { ...state, status: 'inactive' };
  }
};

/** No second create; no update or deactivate of a user that is not active. */
export const userDecider: Decider<User, UserCommand, UserEvent> = {
  initialState: { status: 'none' },
  decide,
  evolve,
  snapshots: {
    every: 100,
    snapshotVersion: 1,
    state: z.discriminatedUnion('status', [
      z.strictObject({ status: z.literal('none') }),
      z.strictObject({ status: z.enum(['active', 'inactive']), email: z.string(), name: z.string() }),
    ]),
  },
};
