import type { ChannelModel, ConfirmChannel, ConsumeMessage } from 'amqplib';
import { WarrenError } from '../../errors.js';
import { moveMessage } from '../republish.js';
import { closeQuietly } from './closing.js';
import { toDelivery } from './delivery.js';

/** Type of a message that is none of the queue's own; its id is the marker's. */
const markerType = 'warren.moving.marker';

/** No delivery for so long: there is nothing to take, or somebody else takes it. */
const quietMs = 2000;

const markerIdOf = ({ properties }: ConsumeMessage): string | null =>
  properties.type === markerType ? String(properties.messageId) : null;

/** The next messages of a queue, at most `max`, in hand; then the broker brings no more. */
const take = (channel: ConfirmChannel, queue: string, max: number): Promise<readonly ConsumeMessage[]> =>
  new Promise((resolve, reject) => {
    const taken: ConsumeMessage[] = [];
    const consumerTag = `warren/moving/${queue}`;
    let quiet: NodeJS.Timeout | undefined;
    const finish = (): void => {
      clearTimeout(quiet);
      // Before the acks, which make room for further deliveries.
      channel.cancel(consumerTag).then(() => {
        resolve(taken);
      }, reject);
    };
    const wait = (): void => {
      clearTimeout(quiet);
      quiet = setTimeout(finish, quietMs);
    };
    const onMessage = (message: ConsumeMessage | null): void => {
      if (!message) return;
      taken.push(message);
      if (taken.length === max) finish();
      else wait();
    };
    channel.once('close', () => {
      clearTimeout(quiet);
      reject(new Error(`the channel that read ${queue} was closed`));
    });
    wait();
    // The prefetch is what ends the deliveries: it counts those that are not acked.
    channel
      .prefetch(max)
      .then(() => channel.consume(queue, onMessage, { consumerTag }))
      .catch(reject);
  });

const publishAll = async (channel: ConfirmChannel, messages: readonly ConsumeMessage[], from: string, to: string) => {
  let returned = 0;
  channel.on('return', () => (returned += 1));
  for (const message of messages) {
    const { exchange, routingKey, body, properties } = moveMessage(toDelivery(from, message), to);
    channel.publish(exchange, routingKey, body, { ...properties, mandatory: true, persistent: true });
  }
  await channel.waitForConfirms();
  if (returned > 0) throw new WarrenError('TOPOLOGY', `Queue ${to} is gone; nothing was taken out of ${from}`);
};

/**
 * One batch, on a channel of its own: in the other queue first, confirmed, then acked. A kill in between leaves it in
 * both, and consumers absorb that by the ids. Acked with one ack: single ones can be lost when the channel closes.
 */
export const moveBatch = async (
  model: ChannelModel,
  from: string,
  to: string,
  max: number,
): Promise<readonly (string | null)[]> => {
  const channel = await model.createConfirmChannel();
  channel.on('error', () => undefined);
  try {
    const taken = await take(channel, from, max);
    await publishAll(
      channel,
      taken.filter((message) => markerIdOf(message) === null),
      from,
      to,
    );
    const last = taken.at(-1);
    if (last) channel.ack(last, true);
    return taken.map(markerIdOf);
  } finally {
    await closeQuietly(channel);
  }
};

/**
 * What is closed to senders is not closed to this: the broker publishes a dead letter of a classic queue once and
 * without asking back, behind all that waits. So a marker expires at once in a queue whose dead letters go there.
 */
export const makeMarker = async (model: ChannelModel, queue: string) => {
  const channel = await model.createConfirmChannel();
  channel.on('error', () => undefined);
  const expiring = await channel.assertQueue('', {
    exclusive: true,
    autoDelete: true,
    durable: false,
    arguments: {
      'x-queue-type': 'classic',
      'x-message-ttl': 0,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': queue,
    },
  });
  return async (id: string): Promise<void> => {
    channel.publish('', expiring.queue, Buffer.alloc(0), { type: markerType, messageId: id, persistent: true });
    await channel.waitForConfirms();
  };
};
