import type { ChannelModel } from 'amqplib';
import type { Logger } from '../../logger.js';
import type { Topology } from '../message-bus.js';
import { declareTopology, declareWhatFits, type Mismatch } from './declare.js';

/** What this process has declared: it is declared again on each new connection, and where a queue was deleted. */
export type Declared = {
  /** @throws WarrenError TOPOLOGY; whatever amqplib throws otherwise */
  add(model: ChannelModel, topology: Topology): Promise<void>;
  /** All of it but what differs, which is said once. @throws whatever amqplib throws */
  again(model: ChannelModel): Promise<void>;
  /** The same, for who consumes this queue. @throws WarrenError TOPOLOGY this queue differs; whatever amqplib throws */
  againFor(model: ChannelModel, queue: string): Promise<void>;
  /** What differed when it was last declared. */
  differing(): readonly Mismatch[];
  /** Does the broker give the queue to one consumer at a time, in order? */
  isSingleActive(queue: string): boolean;
};

const merge = (topologies: readonly Topology[]): Topology => ({
  queues: topologies.flatMap(({ queues }) => queues),
  exchanges: topologies.flatMap(({ exchanges }) => exchanges),
  bindings: topologies.flatMap(({ bindings }) => bindings),
});

export const makeDeclared = (log: Logger): Declared => {
  const topologies: Topology[] = [];
  let differing: readonly Mismatch[] = [];

  const again = async (model: ChannelModel): Promise<readonly Mismatch[]> => {
    const found = await declareWhatFits(model, merge(topologies));
    for (const { name, error } of found) {
      if (differing.some((known) => known.error.message === error.message)) continue;
      log.error({ name, reason: error.message }, 'broker topology differs, going on without it');
    }
    differing = found;
    return found;
  };

  return {
    add: async (model, topology) => {
      await declareTopology(model, topology);
      topologies.push(topology);
    },
    again: async (model) => {
      await again(model);
    },
    againFor: async (model, queue) => {
      const own = (await again(model)).find(({ kind, name }) => kind === 'queue' && name === queue);
      if (own) throw own.error;
    },
    differing: () => differing,
    isSingleActive: (queue) =>
      topologies.some(({ queues }) =>
        queues.some((spec) => spec.name === queue && spec.arguments['x-single-active-consumer'] === true),
      ),
  };
};
