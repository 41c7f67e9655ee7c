import { connect, type Options } from 'amqplib';
import { expect } from 'chai';
import { MongoClient, type Db } from 'mongodb';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { mixedCommands, type LoadCommand } from './command-load.js';
import { eventually } from './eventually.js';
import type { RoleProcess } from './processes.js';
import type { UsedServices } from './services.js';
import { expectLedgerSent, expectReadModels, expectSoundStore, queuesWithMessages } from './stored-system.js';
import { commandIdOf, storedEvents } from './stored-system.js';
import { linesSaying, useProcesses } from './used-processes.js';

const roles = ['command-worker', 'projection-worker', 'notification-worker', 'relay'] as const;
/** The queues that these roles consume. */
export const workQueues = [
  'commands',
  'projections.users',
  'projections.orders',
  'projections.order_statistics',
  'notifications.welcome',
  'notifications.order-updates',
] as const;
/** Contract, Times. */
const workAgainWithinMs = 10_000;
const healedWithinMs = 15_000;
/** Events that are stored before a fault, so that it hits a system in full work. */
const storedBeforeFault = 150;

type Reach = Pick<UsedServices, 'rabbitmqUrl' | 'management'>;
type Wave = (from: number) => readonly LoadCommand[];

/** Users only, each of its own: posting all of them again, in any order, changes nothing. */
export const newUsers: Wave = (from) =>
  Array.from({ length: 28 }, (_, at) => ({
    id: randomUUID(),
    type: 'user.create',
    aggregateId: `n-${from}-${at}`,
    payload: { email: `n-${from}-${at}@example.org`, name: 'A' },
  }));

/** RabbitMQ's own: replies come to the channel that asked. */
const replyTo = 'amq.rabbitmq.reply-to';

/**
 * A client that does not give up: what was not confirmed, or came back, is sent again with the same id on a new
 * connection, until `signal` says that the test is over.
 */
const makeStubbornClient = (url: () => string, signal: AbortSignal) => {
  const open = async () => {
    const connection = await connect(url(), { timeout: 5_000 });
    connection.on('error', () => undefined);
    const channel = await connection.createConfirmChannel();
    const state = { returned: 0 };
    channel.on('error', () => undefined);
    channel.on('return', () => (state.returned += 1));
    await channel.consume(replyTo, () => undefined, { noAck: true });
    return { connection, channel, state };
  };
  let current: Awaited<ReturnType<typeof open>> | null = null;

  const attempt = async (
    messages: readonly { readonly id: string; readonly text: string }[],
    queue: string,
    properties: Options.Publish,
  ): Promise<void> => {
    const { channel, state } = (current ??= await open());
    state.returned = 0;
    for (const { id, text } of messages) {
      const options = { persistent: true, mandatory: true, messageId: id, replyTo, ...properties };
      channel.publish('', queue, Buffer.from(text), options);
    }
    await channel.waitForConfirms();
    if (state.returned > 0) throw new Error(`${state.returned} messages came back`);
  };

  return {
    /** Resolves when the broker has confirmed all. */
    post: async (commands: readonly LoadCommand[], properties: Options.Publish = {}): Promise<void> => {
      const messages = commands.map((command) => ({ id: command.id, text: JSON.stringify(command) }));
      while (!signal.aborted) {
        try {
          await attempt(messages, 'commands', properties);
          return;
        } catch {
          await current?.connection.close().catch(() => undefined);
          current = null;
          await delay(100);
        }
      }
    },
    close: async () => {
      await current?.connection.close().catch(() => undefined);
    },
  };
};

/** Consumers of a queue now, as the broker itself counts them; 0 when there is no such queue. */
const countConsumers = async (url: string, queues: readonly string[]): Promise<Readonly<Record<string, number>>> => {
  const connection = await connect(url, { timeout: 2_000 });
  connection.on('error', () => undefined);
  try {
    const counts: Record<string, number> = {};
    for (const queue of queues) {
      const channel = await connection.createChannel();
      channel.on('error', () => undefined);
      counts[queue] = await channel.checkQueue(queue).then(
        ({ consumerCount }) => consumerCount,
        () => 0,
      );
    }
    return counts;
  } finally {
    await connection.close().catch(() => undefined);
  }
};

export type BrokerScenario = {
  readonly db: () => Db;
  readonly roles: () => ReadonlyMap<string, RoleProcess>;
  /** Persistent, mandatory, confirmed, however long it takes; they are among those that have to take effect once. */
  readonly post: (commands: readonly LoadCommand[], properties?: Options.Publish) => Promise<void>;
  /**
   * Steady load; `fault` in the middle of it, which resolves when the broker is there again; then what issue 5 asks
   * of each fault: all roles work again within 10 s, and everything posted is handled once in effect. Gives what was
   * posted.
   */
  readonly through: (fault: () => Promise<void>, options?: ThroughOptions) => Promise<readonly LoadCommand[]>;
  /** Consumers of each work queue now, as the broker counts them. */
  readonly consumers: () => Promise<Readonly<Record<string, number>>>;
  /** Everything posted so far is handled once in effect, and nothing waits, is parked, or took a retry. */
  readonly allDone: (withinMs?: number) => Promise<void>;
};

type ThroughOptions = {
  readonly wave?: Wave;
  /** Sends everything again at the end, by id: for faults that lose what the broker had. */
  readonly postAgain?: boolean;
  /** Runs when all roles work again, before all is said to be done. */
  readonly recovered?: () => Promise<void>;
};

/**
 * The four roles as processes of their own, on `system` (how they reach the broker) and the database of `services`;
 * `outside` is how the test itself does, if that is another way.
 */
export const useBrokerScenario = (
  services: UsedServices,
  reach: { readonly system: () => Promise<string> | string; readonly outside: () => Reach },
  environment: NodeJS.ProcessEnv = {},
): BrokerScenario => {
  const processes = useProcesses();
  const over = new AbortController();
  const posted = new Map<string, LoadCommand>();
  const running = new Map<string, RoleProcess>();
  const ends: string[] = [];
  let nextLife = 0;
  let mongo: MongoClient | null = null;
  const outside = (): Reach => reach.outside();
  const client = makeStubbornClient(() => outside().rabbitmqUrl, over.signal);
  const db = (): Db => {
    if (!mongo) throw new Error('The database is there from the before hooks on');
    return mongo.db();
  };
  const stored = (): Promise<number> => db().collection('events').countDocuments();
  const post: BrokerScenario['post'] = async (commands, properties) => {
    for (const command of commands) posted.set(command.id, command);
    await client.post(commands, properties);
  };

  before('starts the roles', async function () {
    this.timeout(60_000);
    mongo = await new MongoClient(services.mongodbUrl).connect();
    const RABBITMQ_URL = await reach.system();
    const settings = { ...environment, RABBITMQ_URL, MONGODB_URL: services.mongodbUrl };
    for (const role of roles) running.set(role, processes.start([role], { ...settings, HTTP_PORT: '0' }));
    for (const [role, process] of running) {
      void process.ended.then((how) => ends.push(`${role}: ${how}`));
    }
    await Promise.all([...running.values()].map(({ ready }) => ready));
    // A copy of every message that takes a retry, however short it waits; `allDone` says that there is none.
    const connection = await connect(outside().rabbitmqUrl);
    const channel = await connection.createChannel();
    for (const step of ['1s', '5s', '30s', '5m']) {
      await channel.assertQueue(`outside.${step}`, { arguments: { 'x-queue-type': 'quorum' } });
      await channel.bindQueue(`outside.${step}`, `retry.${step}`, '');
    }
    await connection.close();
  });
  after('ends the roles', async () => {
    over.abort();
    await client.close();
    for (const process of running.values()) process.kill('SIGKILL');
    await mongo?.close();
  });

  const consumers = () => countConsumers(outside().rabbitmqUrl, workQueues);

  const steady = (wave: Wave) => {
    const stopping = new AbortController();
    const run = async (): Promise<readonly LoadCommand[]> => {
      const sent: LoadCommand[] = [];
      while (!stopping.signal.aborted) {
        const commands = wave(nextLife);
        nextLife += 4;
        await post(commands);
        sent.push(...commands);
        await delay(100, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
      return sent;
    };
    const sending = run();
    return {
      stop: () => {
        stopping.abort();
        return sending;
      },
    };
  };

  /** A life of a user and an order, posted now, is decided, published, applied and told. */
  const workAgain = async (): Promise<void> => {
    const endsAt = performance.now() + workAgainWithinMs;
    const probe = mixedCommands(1, nextLife++);
    const sending = post(probe);
    const [user, order] = [probe[0]?.aggregateId, probe[2]?.aggregateId];
    const ids = probe.map(({ id }) => id);
    const byId = (name: string, id?: string) =>
      db()
        .collection<{ _id: string }>(name)
        .findOne({ _id: id ?? '' });
    await eventually(
      async () => {
        const counts = await consumers();
        const without = workQueues.filter((queue) => counts[queue] === 0);
        expect(without, 'queues without a consumer').to.deep.equal([]);
        const events = await db()
          .collection<{ _id: number; type: string; eventId: string }>('events')
          .find({ 'metadata.commandId': { $in: ids } })
          .toArray();
        expect(events, 'the command worker decides').to.have.length(7);
        expect(await byId('users', user), 'users').to.include({ version: 4 });
        expect(await byId('orders', order), 'orders').to.include({ version: 3 });
        const created = events.find(({ type }) => type === 'user.created');
        const paid = events.find(({ type }) => type === 'order.paid');
        expect(await byId('notifications', `welcome:${created?.eventId}`), 'welcome').to.include({ status: 'sent' });
        const update = await byId('notifications', `order-updates:${paid?.eventId}`);
        expect(update, 'order-updates').to.include({ status: 'sent' });
        const { position } = ((await byId('checkpoints', 'order_statistics')) ?? {}) as { position?: number };
        expect(position, 'statistics').to.be.at.least(Math.max(0, ...events.map(({ _id }) => _id)) - 2);
      },
      { withinMs: endsAt - performance.now(), everyMs: 100 },
    );
    await sending;
  };

  const allAlive = (): void => {
    expect(ends, 'processes that ended').to.deep.equal([]);
    for (const [role, process] of running) {
      expect(
        linesSaying(process, ({ msg }) => msg === 'ready'),
        role,
      ).to.have.length(1);
      const fatal = process.lines.filter((line) => line.includes('"level":60') || /unhandled|uncaught/i.test(line));
      expect(fatal, role).to.deep.equal([]);
    }
  };

  const allDone = async (withinMs = healedWithinMs): Promise<void> => {
    await eventually(
      async () => {
        expect(await stored(), 'commands that took effect').to.equal(posted.size);
        expect(await db().collection('outbox').countDocuments(), 'outbox').to.equal(0);
        await expectReadModels(db());
        await expectLedgerSent(db());
        expect(await queuesWithMessages(outside())).to.deep.equal([]);
      },
      { withinMs, everyMs: 200 },
    );
    const events = await storedEvents(db());
    expectSoundStore(events);
    expect(new Set(events.map(commandIdOf))).to.deep.equal(new Set(posted.keys()));
    allAlive();
    const told = [...running.values()].flatMap((process) => linesSaying(process, ({ msg }) => msg === 'notification'));
    expect(new Set(told.map(({ id }) => id)).size, 'notifications that were sent').to.equal(told.length);
  };

  const through: BrokerScenario['through'] = async (fault, options = {}) => {
    const { wave = (from) => mixedCommands(4, from), postAgain = false, recovered } = options;
    const before = await stored();
    const load = steady(wave);
    let sent: readonly LoadCommand[];
    try {
      await eventually(async () => {
        expect(await stored()).to.be.at.least(before + storedBeforeFault);
      });
      await fault();
      await workAgain();
      await recovered?.();
    } finally {
      sent = await load.stop();
    }
    if (postAgain) await post(sent);
    await allDone();
    return sent;
  };

  return { db, roles: () => running, post, through, consumers, allDone };
};

/**
 * Through a fault that leaves old connections which only the broker believes in: within 10 s there are new consumers
 * beside theirs. `heal` lets the broker know, as its heartbeat would: what the old ones have in hand is its own again.
 */
export const throughHalfOpen = async (scenario: BrokerScenario, fault: () => void, heal: () => void): Promise<void> => {
  // Of a single active consumer's queue only the active one is counted.
  const shared = workQueues.filter((queue) => queue !== 'projections.order_statistics');
  const expectEach = (count: number): Promise<void> =>
    eventually(
      async () => {
        const counts = await scenario.consumers();
        expect(shared.map((queue) => `${queue}: ${counts[queue]}`)).to.deep.equal(
          shared.map((queue) => `${queue}: ${count}`),
        );
      },
      { withinMs: workAgainWithinMs, everyMs: 100 },
    );
  await scenario.through(
    async () => {
      fault();
      try {
        await expectEach(2);
      } finally {
        heal();
      }
      await expectEach(1);
    },
    // Two consumers of `commands` compete, so the order within an aggregate is not promised here.
    { wave: newUsers },
  );
};
