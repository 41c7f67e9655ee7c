import { connect, type ConfirmChannel, type ConsumeMessage } from 'amqplib';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { UsedServices } from './services.js';

export type LoadCommand = {
  readonly id: string;
  readonly type: string;
  readonly aggregateId: string;
  readonly payload: unknown;
};

/** Lives of a user and of an order for that user: 7 commands, all accepted when decided in this order. */
const livesOf = (n: number): readonly LoadCommand[] => {
  const [user, order] = [`u-${n}`, `o-${n}`];
  const unitPriceCents = 100 + (n % 50);
  const command = (type: string, aggregateId: string, payload: unknown): LoadCommand => ({
    id: randomUUID(),
    type,
    aggregateId,
    payload,
  });
  return [
    command('user.create', user, { email: `${user}@example.org`, name: 'A' }),
    command('user.update', user, { name: 'B' }),
    command('order.create', order, {
      customerId: user,
      currency: 'EUR',
      lines: [{ sku: 'book', quantity: 2, unitPriceCents }],
    }),
    command('order.pay', order, { paymentId: `p-${n}`, amountCents: 2 * unitPriceCents }),
    n % 4 === 3
      ? command('order.cancel', order, { reason: 'late' })
      : command('order.ship', order, { carrier: 'DHL', trackingNumber: `t-${n}` }),
    command('user.update', user, { name: 'C' }),
    command('user.deactivate', user, {}),
  ];
};

/** `lives` users and as many orders: 7 commands each, those of all lives mixed, each aggregate's in order. */
export const mixedCommands = (lives: number, from = 0): readonly LoadCommand[] => {
  const all = Array.from({ length: lives }, (_, n) => livesOf(from + n));
  return Array.from({ length: 7 }, (_, step) => all.flatMap((life) => life[step] ?? [])).flat();
};

/**
 * A client that is no code of the system, fast enough for a load: persistent messages to queue `commands`, each
 * confirmed by the broker.
 */
export const makeLoad = async (services: Pick<UsedServices, 'rabbitmqUrl'>) => {
  const connection = await connect(services.rabbitmqUrl);
  const channel: ConfirmChannel = await connection.createConfirmChannel();

  /** Persistent messages straight to a queue. */
  const send = async (
    queue: string,
    messages: readonly { readonly text: string; readonly id?: string }[],
    properties = {},
  ) => {
    for (const { text, id } of messages) {
      const options = {
        persistent: true,
        mandatory: true,
        ...(id === undefined ? {} : { messageId: id }),
        ...properties,
      };
      channel.publish('', queue, Buffer.from(text), options);
    }
    await channel.waitForConfirms();
  };

  const post = (commands: readonly LoadCommand[], properties: { readonly replyTo?: string } = {}): Promise<void> =>
    send(
      'commands',
      commands.map((command) => ({ text: JSON.stringify(command), id: command.id })),
      properties,
    );

  /** Posts lives one wave after the other until stopped. `stop` gives all that was posted. */
  const steady = (options: { readonly lives: number; readonly everyMs: number; readonly replyTo?: string }) => {
    const stopping = new AbortController();
    const posted: LoadCommand[] = [];
    const run = async (): Promise<void> => {
      for (let wave = 0; !stopping.signal.aborted; wave += 1) {
        const commands = mixedCommands(options.lives, wave * options.lives);
        await post(commands, options.replyTo === undefined ? {} : { replyTo: options.replyTo });
        posted.push(...commands);
        await delay(options.everyMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    };
    const running = run();
    return {
      posted: posted as readonly LoadCommand[],
      stop: async (): Promise<readonly LoadCommand[]> => {
        stopping.abort();
        await running;
        return posted;
      },
    };
  };

  /** Takes what waits in a queue, in its order; by consuming, since nothing else is allowed with a single active consumer. */
  const takeAll = async (queue: string): Promise<readonly { readonly text: string }[]> => {
    const count = await waitingIn(queue);
    const taken: { readonly text: string }[] = [];
    if (count === 0) return taken;
    await new Promise<void>((resolve, reject) => {
      const take = (message: ConsumeMessage | null): void => {
        if (message) taken.push({ text: message.content.toString('utf8') });
        if (taken.length === count) resolve();
      };
      channel.consume(queue, take, { consumerTag: 'taking', noAck: true }).catch(reject);
    });
    await channel.cancel('taking');
    return taken;
  };

  /** Messages that wait in a queue; those in some consumer's hand do not count. */
  const waitingIn = async (queue: string): Promise<number> => (await channel.checkQueue(queue)).messageCount;

  return { send, post, steady, takeAll, waitingIn, close: () => connection.close() };
};

export type Load = Awaited<ReturnType<typeof makeLoad>>;
