import type { NotificationText } from '../core/notification.js';

/** One message to one recipient. `id` is the same at every try, so that a receiver can drop the second. */
export type Notification = NotificationText & {
  readonly id: string;
  readonly rule: string;
  readonly recipient: string;
};

/** A way out of the system. */
export type Channel = {
  readonly name: 'log' | 'email' | 'webhook';
  /** Resolves when the other side has it; any error means that it may be tried again. */
  send(notification: Notification): Promise<void>;
};
