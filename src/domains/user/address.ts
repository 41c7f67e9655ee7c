import type { StateOf } from '../../core/notification.js';
import type { User } from './decider.js';

/** Where to reach a customer: the email of the user of that id, deactivated or not; with no such user the id itself. */
export const addressOf = async (userId: string, stateOf: StateOf): Promise<string> => {
  const user = (await stateOf('user', userId)) as User;
  return user.status === 'none' ? userId : user.email;
};
