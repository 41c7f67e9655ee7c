import { randomUUID } from 'node:crypto';
import type { Commit } from '../../src/event-store/event-store.js';

/** `apart`: each event is the first of its stream, by a command of its own. `together`: one command, one stream. */
export type Shape = 'apart' | 'together';

const commandOf = () => {
  const commandId = randomUUID();
  return {
    metadata: { commandId, correlationId: commandId, causationId: commandId, actor: 'ann@example.org' },
    commandDigest: commandId.replaceAll('-', ''),
  };
};

/** Payload and metadata together are about 350 bytes of BSON. */
const eventOf = (number: number) => ({
  type: number % 4 === 0 ? 'order.paid' : 'order.created',
  schemaVersion: 1,
  payload: {
    customerId: `customer-${number % 5000}`,
    currency: 'EUR',
    lines: [{ sku: `sku-${number % 300}`, quantity: 1 + (number % 3), unitPriceCents: 1250 }],
    totalCents: 1250 * (1 + (number % 3)),
  },
});

let lastStream = 0;

/** What is stored by one call of `append`, or by one `insertMany`: `count` events. */
export const makeBatch = (count: number, shape: Shape): readonly Commit[] => {
  const streamOf = () => ({ aggregateType: 'order', aggregateId: `${process.pid}-${(lastStream += 1)}` });
  const events = Array.from({ length: count }, (_, index) => eventOf(lastStream + index));
  if (shape === 'together') return [{ stream: streamOf(), expectedVersion: 0, ...commandOf(), events }];
  return events.map((event) => ({ stream: streamOf(), expectedVersion: 0, ...commandOf(), events: [event] }));
};
