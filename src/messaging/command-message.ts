import type { Command } from '../core/message.js';
import type { OutgoingMessage } from './message-bus.js';
import { commandsExchange } from './topology.js';

/**
 * A command as the message that brings it to the command workers. The id is in the body and in `message_id`, so
 * publishing the same one again takes effect once; mandatory, since a dropped command must not look like a queued one.
 * The correlation id is written out: a bus that waits for the reply puts one of its own into the property, which would
 * otherwise be stored with the events.
 */
export const commandMessage = (command: Command, now: Date): OutgoingMessage => {
  const { traceparent, ...said } = command.metadata;
  const metadata = { correlationId: command.id, ...said };
  return {
    exchange: commandsExchange,
    routingKey: command.type,
    mandatory: true,
    body: Buffer.from(JSON.stringify({ ...command, metadata })),
    properties: {
      messageId: command.id,
      type: command.type,
      contentType: 'application/json',
      timestamp: Math.floor(now.getTime() / 1000),
      correlationId: metadata.correlationId,
      ...(traceparent === undefined ? {} : { headers: { traceparent } }),
    },
  };
};
