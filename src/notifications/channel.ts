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
  /**
   * Resolves when the other side has it; any error means that it may be tried again.
   * @throws WarrenError CHANNEL_UNAVAILABLE the way out itself is away (connection refused, unknown host, no answer in time,
   *   a server that says it cannot serve now), whoever the recipient is; anything else refuses this one notification
   */
  send(notification: Notification): Promise<void>;
};
