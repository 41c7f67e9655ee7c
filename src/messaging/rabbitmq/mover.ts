import { IllegalOperationError, type ChannelModel, type ConfirmChannel, type ConsumeMessage } from 'amqplib';
import { asError, WarrenError } from '../../errors.js';
import { moveMessage, readParked } from '../parked-message.js';
import { parkedQueue } from '../topology.js';
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

const parkedEnd = parkedQueue('');

/** Headers near 64 KiB: those that a move adds are too many for this client. What to do is up to a person. */
const unmovable = (from: string, message: ConsumeMessage, error: unknown): WarrenError => {
  const { key } = readParked({ ...toDelivery(from, message), place: 0 });
  const remedy = from.endsWith(parkedEnd)
    ? `look at it, then: warren parked discard ${from.slice(0, -parkedEnd.length)} --id ${key}`
    : `let its consumer take it, or take it out`;
  const text = `Message ${key} of ${from} cannot be sent on (${asError(error).message}); ${remedy}; then run this again`;
  return new WarrenError('TOPOLOGY', text, { cause: error });
};

/** Up to the first that cannot be sent; gives how many that are, and why it ends there. */
const publishAll = async (channel: ConfirmChannel, messages: readonly ConsumeMessage[], from: string, to: string) => {
  let [returned, done] = [0, 0];
  let problem: WarrenError | null = null;
  channel.on('return', () => (returned += 1));
  for (const message of messages) {
    if (markerIdOf(message) === null) {
      try {
        const { exchange, routingKey, body, properties } = moveMessage(toDelivery(from, message), to);
        // What it throws while it encodes, it throws before it sends or counts anything.
        channel.publish(exchange, routingKey, body, { ...properties, mandatory: true, persistent: true });
      } catch (error) {
        if (error instanceof IllegalOperationError) throw error;
        problem = unmovable(from, message, error);
        break;
      }
    }
    done += 1;
  }
  await channel.waitForConfirms();
  if (returned > 0) throw new WarrenError('TOPOLOGY', `Queue ${to} is gone; nothing was taken out of ${from}`);
  return { done, problem };
};

/**
 * One batch, on a channel of its own: in the other queue first, confirmed, then acked. A kill in between leaves it in
 * both, and consumers absorb that by the ids. Acked with one ack: single ones can be lost when the channel closes.
 * @throws WarrenError TOPOLOGY one cannot be sent on: it is the first of the queue now
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
    const { done, problem } = await publishAll(channel, taken, from, to);
    const last = taken[done - 1];
    if (last) channel.ack(last, true);
    if (problem) throw problem;
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
