import { setTimeout as delay } from 'node:timers/promises';
import type { MessageBus } from '../messaging/message-bus.js';
import type { History } from './history.js';
import type { Random } from './random.js';

const usualMs = 25;
const slowMs = 1_500;

/**
 * The broker of the suite: an event is confirmed once its line is in the history. It takes its time, so that a kill
 * often comes between a publish and its confirm, and now and then does not say what it did.
 */
export const makeRecordingBus = (history: Pick<History, 'note'>, random: Random): Pick<MessageBus, 'publish'> => ({
  publish: async (messages) => {
    await delay(random.between(0, random.chance(0.05) ? slowMs : usualMs));
    const isSilent = random.chance(0.05);
    if (isSilent && random.chance(0.5)) return messages.map(() => 'unknown');
    history.note({
      do: 'publish',
      events: messages.map(({ properties: { headers, messageId } }) => [
        Number(headers?.['position']),
        messageId ?? '',
      ]),
    });
    return messages.map(() => (isSilent ? 'unknown' : 'confirmed'));
  },
});
