import { UnroutableError, WarrenError } from '../errors.js';
import type { MessageBus, OutgoingMessage } from './message-bus.js';

/** What an outcome that nobody looks at cannot say: for a broker that gives no words of its own. */
const noRoute = 'NO_ROUTE';

/**
 * Publishes and resolves when the broker has confirmed every message.
 * @throws UnroutableError the first that reached no queue; to send it again changes nothing
 * @throws WarrenError BROKER_UNAVAILABLE some are not confirmed, with their ids; send all again with the same ids
 */
export const publishConfirmed = async (
  bus: Pick<MessageBus, 'publish'>,
  messages: readonly OutgoingMessage[],
): Promise<void> => {
  const reasons = new Map<number, string>();
  const outcomes = await bus.publish(messages, (index, reason) => reasons.set(index, reason));
  const unconfirmed = messages.filter((message, index) => {
    if (outcomes[index] === 'unroutable') throw new UnroutableError(message, reasons.get(index) ?? noRoute);
    return outcomes[index] !== 'confirmed';
  });
  if (unconfirmed.length === 0) return;
  const ids = unconfirmed.slice(0, 3).map(({ properties }) => properties.messageId ?? 'without an id');
  throw new WarrenError(
    'BROKER_UNAVAILABLE',
    `RabbitMQ did not confirm ${unconfirmed.length} of ${messages.length} messages (${ids.join(', ')}${unconfirmed.length > 3 ? ', …' : ''}); send them again with the same ids`,
  );
};
