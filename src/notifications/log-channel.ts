import type { Logger } from '../logger.js';
import type { Channel } from './channel.js';

/** Notifications as log lines: what embedded mode has, and where those without an address go. */
export const makeLogChannel = (log: Logger): Channel => ({
  name: 'log',
  send: async ({ id, rule, recipient, subject, text }) => {
    log.info({ id, rule, recipient, subject, text }, 'notification');
  },
});
