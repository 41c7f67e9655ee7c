import { indexDomains } from '../../../../src/core/domain.js';
import { domains } from '../../../../src/domains/registry.js';
import { makeLogger } from '../../../../src/logger.js';
import { makeMemoryMessageBus } from '../../../../src/messaging/memory-message-bus.js';
import type { Delivery, MessageProperties, OutgoingMessage } from '../../../../src/messaging/message-bus.js';
import { topologyOf } from '../../../../src/messaging/topology.js';
import { parseDelivery } from '../../../../src/workers/command-worker.js';

export const topology = topologyOf(domains, { retryDelaysMs: [1000], deliveryLimit: 20 });

/** A command that a worker takes. */
export const renaming = (id: string, name: string) => ({
  id,
  type: 'user.update',
  aggregateId: 'u-1',
  payload: { name },
});

/** A parked message as the bus leaves it. */
export const parkedMessage = (
  key: string,
  body: unknown,
  {
    reason = 'SCHEMA',
    queue = 'commands',
    ...properties
  }: MessageProperties & { reason?: string; queue?: string } = {},
): OutgoingMessage => ({
  exchange: '',
  routingKey: `${queue}.parked`,
  body: Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)),
  properties: {
    ...properties,
    headers: {
      'parked-id': key,
      'parked-reason': reason,
      'parked-error': 'it was wrong',
      'parked-at': '2026-01-31T12:00:00.000Z',
      'parked-attempts': 2,
      'parked-queue': queue,
      ...properties.headers,
    },
  },
  mandatory: true,
});

/** The memory bus with our queues, and what an operator works with; ids are `new-1`, `new-2`. */
export const makeParked = async (messages: readonly OutgoingMessage[] = []) => {
  const now = (): Date => new Date('2026-02-01T00:00:00.000Z');
  const bus = makeMemoryMessageBus({ retryDelaysMs: [1000], log: makeLogger('silent'), now });
  await bus.declare(topology);
  await bus.publish(messages);
  let last = 0;
  const newId = (): string => `new-${(last += 1)}`;
  const parsing = { domains: indexDomains(domains), newId, maxBytes: 262_144 };
  const look = async (queue: string): Promise<readonly Delivery[]> => {
    const session = await bus.openQueue(queue);
    const found = await session.next(10_000);
    await session.close();
    return found;
  };
  const idsIn = async (queue: string): Promise<readonly (string | undefined)[]> =>
    (await look(queue)).map(({ properties }) => properties.messageId);
  return {
    bus,
    deps: { bus, topology, newId, parse: (delivery: Delivery) => parseDelivery(delivery, parsing) },
    look,
    idsIn,
  };
};
