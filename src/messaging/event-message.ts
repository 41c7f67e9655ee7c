import { cloudEventContentType, toCloudEvent } from '../core/cloud-event.js';
import type { RecordedEvent } from '../core/message.js';
import type { OutgoingMessage } from './message-bus.js';
import { eventsExchange } from './topology.js';

/**
 * The message that carries an event. The same event gives the same message id, whoever publishes it and how often.
 * Not mandatory: the alternate exchange takes what nobody is bound to, and would swallow the return anyway.
 */
export const eventMessage = (event: RecordedEvent, storeId: string): OutgoingMessage => {
  const { traceparent } = event.metadata;
  return {
    exchange: eventsExchange,
    routingKey: event.type,
    body: Buffer.from(JSON.stringify(toCloudEvent(event, storeId))),
    properties: {
      messageId: event.id,
      type: event.type,
      correlationId: event.metadata.correlationId,
      timestamp: Math.floor(event.timestamp.getTime() / 1000),
      contentType: cloudEventContentType,
      appId: 'warren',
      headers: {
        'aggregate-id': event.aggregateId,
        'aggregate-version': event.version,
        position: event.position,
        ...(traceparent === undefined ? {} : { traceparent }),
      },
    },
    mandatory: false,
  };
};
