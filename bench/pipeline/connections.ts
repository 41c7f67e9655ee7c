import { connect, type ChannelModel, type ConfirmChannel, type ConsumeMessage } from 'amqplib';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MongoClient, type Db } from 'mongodb';

type Sizes = { readonly prefetch: number; readonly batchSize: number };

/** Batches and windows of the floor are those that Warren runs with. */
export const settings = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', '..', 'config', 'default.json'), 'utf8'),
) as {
  readonly commands: Sizes;
  readonly projections: Sizes;
  readonly notifications: Sizes & { readonly leaseMs: number };
};

const required = (name: string): string => {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set; npm run bench sets it`);
  return value;
};

export type Connections = { readonly broker: ChannelModel; readonly mongo: MongoClient; readonly db: Db };

/** Connects a process of the floor or of the naive loop, which ends at SIGTERM: what it had in hand comes back. */
export const openConnections = async (): Promise<Connections> => {
  const mongo = await new MongoClient(required('MONGODB_URL')).connect();
  const broker = await connect(required('RABBITMQ_URL'), { noDelay: true, keepAlive: true });
  process.once('SIGTERM', () => {
    void Promise.allSettled([broker.close(), mongo.close()]).then(() => process.exit(0));
  });
  return { broker, mongo, db: mongo.db() };
};

/** A second connection for publishing, as Warren has it. */
export const openPublisher = async (): Promise<ConfirmChannel> =>
  (await connect(required('RABBITMQ_URL'), { noDelay: true, keepAlive: true })).createConfirmChannel();

/**
 * Takes what has arrived when the loop drains, at most `batchSize`; acknowledges all of it when `handle` is done. An
 * error ends the process: then everything that is unacknowledged is delivered again, and all handling is idempotent.
 */
export const consumeBatches = async (
  broker: ChannelModel,
  queue: string,
  { prefetch, batchSize }: Sizes,
  handle: (batch: readonly ConsumeMessage[]) => Promise<void>,
): Promise<void> => {
  const channel = await broker.createChannel();
  await channel.prefetch(prefetch);
  let waiting: ConsumeMessage[] = [];
  let isBusy = false;

  const work = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, batchSize);
      waiting = waiting.slice(batchSize);
      await handle(batch);
      channel.ack(batch.at(-1) as ConsumeMessage, true);
    }
    isBusy = false;
  };
  await channel.consume(queue, (message) => {
    if (!message) return;
    waiting.push(message);
    if (isBusy) return;
    isBusy = true;
    setImmediate(() => {
      work().catch(fail);
    });
  });
};

export const fail = (error: unknown): never => {
  console.error(error);
  process.exit(1);
};

/** The line that says that a process works; Warren's roles print one too. */
export const reportReady = (role: string): void => {
  process.stdout.write(`${JSON.stringify({ role, msg: 'ready' })}\n`);
};
