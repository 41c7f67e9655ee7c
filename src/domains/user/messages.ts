import { z } from 'zod';
import type { Command, NewEvent } from '../../core/message.js';
import { lineOfText } from '../../core/text.js';

/** RFC 5321 allows a path of 256 bytes with its brackets: an address has at most 254. */
const email = z.email('must be an email address').max(254);
const name = lineOfText(1000);

export const createUser = z.strictObject({ email, name });
export const updateUser = z.strictObject({ name });
export const deactivateUser = z.strictObject({});

/** An event carries the payload of its command. */
export const userCreated = createUser;
export const userUpdated = updateUser;
export const userDeactivated = deactivateUser;

export type UserCommand =
  | Command<'user.create', z.infer<typeof createUser>>
  | Command<'user.update', z.infer<typeof updateUser>>
  | Command<'user.deactivate', z.infer<typeof deactivateUser>>;

export type UserEvent =
  | NewEvent<'user.created', z.infer<typeof userCreated>>
  | NewEvent<'user.updated', z.infer<typeof userUpdated>>
  | NewEvent<'user.deactivated', z.infer<typeof userDeactivated>>;
