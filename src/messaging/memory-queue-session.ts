import type { Message, Queue } from 'smqp';
import { WarrenError } from '../errors.js';
import type { Delivery, HeldMessage, QueueSession } from './message-bus.js';

/** Sessions on queues of this process, for one operator at a time; what is not acked never leaves its place. */
export const makeMemoryOpenQueue = (deps: {
  readonly find: (queue: string) => Queue | null;
  readonly toDelivery: (queue: string, message: Message) => Delivery;
}): ((queue: string) => Promise<QueueSession>) => {
  const taken = new Set<string>();

  return async (name) => {
    const queue = deps.find(name);
    if (!queue) throw new WarrenError('NOT_FOUND', `There is no queue ${name} in this process`);
    if (taken.has(name)) {
      throw new WarrenError('QUEUE_BUSY', `Another operator works on queue ${name}; wait until that has ended`);
    }
    taken.add(name);
    const inHand = new Map<number, Message>();
    const countFree = (): number => queue.messages.filter(({ pending }) => !pending).length;
    let count = countFree();
    let place = 0;
    const putBack = (): void => {
      for (const message of inHand.values()) message.nack(false, true);
      inHand.clear();
    };

    return {
      get count() {
        return count;
      },
      next: async (max) => {
        const batch: HeldMessage[] = [];
        while (batch.length < max && place < count) {
          const message = queue.get();
          if (!message) break;
          place += 1;
          inHand.set(place, message);
          batch.push({ ...deps.toDelivery(name, message), place });
        }
        return batch;
      },
      ack: async (messages) => {
        for (const { place: at } of messages) {
          inHand.get(at)?.ack();
          inHand.delete(at);
        }
      },
      rewind: async () => {
        putBack();
        count = countFree();
        place = 0;
      },
      close: async () => {
        putBack();
        taken.delete(name);
      },
    };
  };
};
