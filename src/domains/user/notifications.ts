import type { RecordedEvent } from '../../core/message.js';
import type { NotificationRule } from '../../core/notification.js';
import type { UserEvent } from './messages.js';

type UserCreated = RecordedEvent<Extract<UserEvent, { type: 'user.created' }>>;

/** Greets a new user, at the address that it was created with. */
export const welcome: NotificationRule = {
  name: 'welcome',
  events: ['user.created'],
  recipient: async (event) => (event as UserCreated).payload.email,
  text: (event) => {
    const { name } = (event as UserCreated).payload;
    return { subject: 'Welcome', text: `Hello ${name}, welcome. Your account is ready.` };
  },
};
