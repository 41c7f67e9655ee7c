import type { Channel, ChannelModel } from 'amqplib';
import { asError, hasCode, WarrenError } from '../../errors.js';
import type { Topology } from '../message-bus.js';
import { closeQuietly } from './closing.js';

const mismatch =
  /inequivalent arg '([^']+)' for (queue|exchange) '([^']+)' in vhost '([^']*)': received (.*?) but current is (.*?)(?:"|$)/;

/** `the value '5' of type 'byte'` → `5`; `'5'` → `5`; `none` stays. */
const valueOf = (text: string): string => /'([^']*)'/.exec(text)?.[1] ?? text;

/** What the broker has otherwise than the code wants it. */
export type Mismatch = { readonly kind: 'queue' | 'exchange'; readonly name: string; readonly error: WarrenError };

/** The broker's 406 as an error that says what to do; null: it is about something else. */
export const mismatchOf = (cause: Error): Mismatch | null => {
  const [, argument, kind, name, vhost, wanted, found] = mismatch.exec(cause.message) ?? [];
  if (argument === undefined || name === undefined || wanted === undefined || found === undefined) return null;
  const error = new WarrenError(
    'TOPOLOGY',
    `${kind === 'queue' ? 'Queue' : 'Exchange'} ${name} in vhost ${vhost ?? ''} has ${argument} ` +
      `${valueOf(found)}, wanted ${valueOf(wanted)}; move its messages away and delete it, or set it to ${valueOf(wanted)}`,
    { cause },
  );
  return { kind: kind === 'queue' ? 'queue' : 'exchange', name, error };
};

const declareAll = async (channel: Channel, topology: Topology): Promise<void> => {
  // amqplib sends them in this order, each after the answer to the one before.
  await Promise.all([
    ...topology.queues.map((queue) =>
      channel.assertQueue(queue.name, { durable: true, arguments: { ...queue.arguments } }),
    ),
    ...topology.exchanges.map(({ name, type, alternateExchange }) =>
      channel.assertExchange(name, type, {
        durable: true,
        arguments: alternateExchange === undefined ? {} : { 'alternate-exchange': alternateExchange },
      }),
    ),
    ...topology.bindings.map(({ queue, exchange, pattern }) => channel.bindQueue(queue, exchange, pattern)),
  ]);
};

/**
 * Declares on a channel of its own, since a mismatch closes the channel.
 * @throws WarrenError TOPOLOGY the broker has something else of that name; whatever amqplib throws otherwise
 */
export const declareTopology = async (model: ChannelModel, topology: Topology): Promise<void> => {
  const channel = await model.createChannel();
  const closedBy: Error[] = [];
  // The listener is also what keeps the process alive when the broker closes the channel.
  channel.on('error', (error: Error) => {
    closedBy.push(error);
  });
  try {
    await declareAll(channel, topology);
  } catch (error) {
    // The one that failed says why; those behind it only that the channel ended.
    const cause = closedBy[0] ?? asError(error);
    throw mismatchOf(cause)?.error ?? cause;
  } finally {
    await closeQuietly(channel);
  }
};

/**
 * Declares all but what differs, and says what that is: one queue that somebody changed must not keep a process that
 * has run well off the broker, publishers included. A channel more for each of them.
 * @throws whatever amqplib throws
 */
export const declareWhatFits = async (model: ChannelModel, topology: Topology): Promise<readonly Mismatch[]> => {
  const differing: Mismatch[] = [];
  const fits = (kind: Mismatch['kind'], name: string): boolean =>
    !differing.some((known) => known.kind === kind && known.name === name);
  for (;;) {
    try {
      await declareTopology(model, {
        queues: topology.queues.filter(({ name }) => fits('queue', name)),
        exchanges: topology.exchanges.filter(({ name }) => fits('exchange', name)),
        bindings: topology.bindings,
      });
      return differing;
    } catch (error) {
      const found = hasCode(error, 'TOPOLOGY') ? mismatchOf(asError(error.cause)) : null;
      // One that was left out and differs still is no progress.
      if (!found || !fits(found.kind, found.name)) throw error;
      differing.push(found);
    }
  }
};
