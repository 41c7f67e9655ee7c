import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import type { Logger } from '../../logger.js';
import { makeBatchLoop } from '../batch-loop.js';
import { makeHandleBatch } from '../handle-batch.js';
import type { BatchHandler, Consumer, ConsumeOptions, OutgoingMessage } from '../message-bus.js';
import type { MessagingMetrics } from '../messaging-metrics.js';
import { runsOf, type Answer, type SendOutcome } from '../settlement.js';
import { keepChannel } from './channel-loop.js';
import type { BrokerConnection } from './connection.js';
import { toDelivery } from './delivery.js';
import type { Publisher } from './publisher.js';

export type ConsumerDeps = {
  readonly connection: BrokerConnection;
  readonly publisher: Publisher;
  readonly queue: string;
  readonly consumerTag: string;
  readonly handle: BatchHandler;
  readonly options: ConsumeOptions;
  /** Does the broker give the queue to one consumer at a time, in order? */
  readonly isSingleActive: () => boolean;
  /** The queue may be gone: declares everything again. */
  readonly declareAgain: (model: ChannelModel) => Promise<void>;
  readonly retryDelaysMs: readonly number[];
  readonly now: () => Date;
  readonly log: Logger;
  readonly metrics: MessagingMetrics | undefined;
};

/** Delivery tags mean something on the channel that brought them and nowhere else. */
type Session = { readonly channel: Channel; open: boolean; consuming: boolean };
type Item = { readonly session: Session; readonly message: ConsumeMessage };

/** Commands that the broker takes in before it closes a channel: it loses those beyond 32. */
const safeSingles = 24;

export const makeConsumer = (deps: ConsumerDeps): Consumer => {
  const { queue, options, publisher } = deps;
  const log = deps.log.child({ queue });
  let session: Session | null = null;
  let lostBefore = false;
  let stopping: Promise<void> | null = null;
  let becomeReady: () => void;
  const ready = new Promise<void>((resolve) => (becomeReady = resolve));

  const redeclare = async (): Promise<void> => {
    const model = await deps.connection.up();
    if (model) await deps.declareAgain(model).catch(() => undefined);
  };

  const send = async (messages: readonly OutgoingMessage[]): Promise<readonly SendOutcome[]> => {
    const sent = await publisher.send(messages);
    // A parked queue may have been deleted: it is there again when the message comes back.
    if (sent.includes('unroutable')) await redeclare();
    return sent;
  };
  const handleBatch = makeHandleBatch({
    queue,
    handle: deps.handle,
    send,
    retryDelaysMs: deps.retryDelaysMs,
    now: deps.now,
    log,
    metrics: deps.metrics,
  });

  /**
   * The only place that settles. Batches come one after the other, so everything below this one is settled and each
   * run of equal answers is one command: the broker loses single ones beyond 32 in flight when the channel closes.
   */
  const answer = (batch: readonly Item[], answers: readonly Answer[]): void => {
    const on = batch[0]?.session;
    // A dead channel's deliveries are the broker's again; to settle them on another would settle the wrong ones.
    if (!on?.open) return;
    let first = 0;
    for (const { answer: how, last } of runsOf(answers)) {
      const run = batch.slice(first, last + 1);
      first = last + 1;
      const end = run.at(-1)?.message;
      if (!end) return;
      if (how === 'ack') on.channel.ack(end, true);
      else if (how === 'giveBack') on.channel.nack(end, true, true);
      else if (how === 'refuse') on.channel.nack(end, true, false);
      // Since 4.3 only this counts against the delivery limit, and there is no reject of many.
      else for (const { message } of run) on.channel.reject(message, true);
    }
  };

  const loop = makeBatchLoop<Item>(options.batchSize, async (batch) => {
    const deliveries = batch.map(({ message }) => toDelivery(queue, message));
    const answers = await handleBatch(deliveries, () => batch[0]?.session.open === true);
    try {
      if (answers) answer(batch, answers);
    } catch (error) {
      // The channel closed under our hands: whatever is not settled comes back.
      log.debug({ err: error }, 'settled too late');
    }
  });

  const lost = (channel: Channel): void => {
    lostBefore = true;
    if (session?.channel !== channel) return;
    session.open = false;
    session = null;
    loop.takeWaiting();
  };

  const channels = keepChannel<Channel>({
    connection: deps.connection,
    log,
    open: async (model) => {
      if (lostBefore) await deps.declareAgain(model);
      return model.createChannel();
    },
    start: async (channel) => {
      const opened: Session = { channel, open: true, consuming: false };
      session = opened;
      // Before `consume`: after it there is no limit.
      await channel.prefetch(options.prefetch);
      const onMessage = (message: ConsumeMessage | null): void => {
        if (message) loop.push({ session: opened, message });
        // The broker cancelled us (the queue was deleted); the channel lives on and would bring nothing more.
        else void channel.close().catch(() => undefined);
      };
      await channel.consume(queue, onMessage, { consumerTag: deps.consumerTag });
      opened.consuming = true;
      becomeReady();
    },
    lost,
  });

  /**
   * A batch in hand lies below what is unstarted, so only single nacks can hand that back before it ends. Of 150 of
   * them the broker still held some when the channel closed, and lost the batch's ack that came behind (3.10). So
   * many wait for the batch, and go back as one.
   */
  const handBack = async (on: Session): Promise<void> => {
    const unstarted = loop.takeWaiting();
    if (unstarted.length > safeSingles) await loop.idle();
    if (!on.open) return;
    if (loop.isRunning()) for (const { message } of unstarted) on.channel.nack(message, false, true);
    else {
      const last = unstarted.at(-1);
      if (last) on.channel.nack(last.message, true, true);
    }
  };

  /**
   * A single active consumer is not cancelled: the next one would get what comes after the unsettled ones before
   * those are back. Its unstarted deliveries return, in order, when its channel closes.
   */
  const drain = async (): Promise<void> => {
    loop.stop();
    const on = session;
    if (on && !deps.isSingleActive()) {
      await on.channel.cancel(deps.consumerTag).catch(() => undefined);
      await handBack(on);
    }
    await loop.idle();
    await channels.close();
  };

  return {
    ready,
    isConsuming: () => session?.open === true && session.consuming && stopping === null,
    stop: () => (stopping ??= drain()),
  };
};
