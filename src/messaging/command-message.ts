import type { Command } from '../core/message.js';
import type { OutgoingMessage } from './message-bus.js';
import { commandsExchange } from './topology.js';

/**
 * A command as the message that brings it to the command workers. The id is in the body and in `message_id`, so
 * publishing the same one again takes effect once; mandatory, since a dropped command must not look like a queued one.
 */
export const commandMessage = (command: Command, now: Date): OutgoingMessage => {
  const { correlationId, traceparent } = command.metadata;
  return {
    exchange: commandsExchange,
    routingKey: command.type,
    mandatory: true,
    body: Buffer.from(JSON.stringify(command)),
    properties: {
      messageId: command.id,
      type: command.type,
      contentType: 'application/json',
      timestamp: Math.floor(now.getTime() / 1000),
      ...(correlationId === undefined ? {} : { correlationId }),
      ...(traceparent === undefined ? {} : { headers: { traceparent } }),
    },
  };
};
