import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import type { Logger } from '../../logger.js';
import { makeConsumeLoop } from '../consume-loop.js';
import type { InHand } from '../handle-batch.js';
import type { BatchHandler, Consumer, ConsumerHealth, ConsumeOptions, OutgoingMessage } from '../message-bus.js';
import type { MessagingMetrics } from '../messaging-metrics.js';
import type { Answer, LadderSettings, RepublishOutcome } from '../settlement.js';
import { pause } from './back-off.js';
import { keepChannel } from './channel-loop.js';
import type { BrokerConnection } from './connection.js';
import { toDelivery } from './delivery.js';
import { makeFinishedPrefix, type FinishedPrefix } from './finished-prefix.js';
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
  readonly ladder: LadderSettings;
  /** How long deliveries stay in hand on hold; below the broker's `consumer_timeout` (default 30 minutes). */
  readonly holdLimitMs: number;
  readonly now: () => Date;
  readonly log: Logger;
  readonly metrics: MessagingMetrics | undefined;
};

/** Delivery tags mean something on the channel that brought them and nowhere else. */
type Session = {
  readonly channel: Channel;
  readonly openedAt: number;
  readonly prefix: FinishedPrefix;
  /** Opened while a dependency was down: one delivery at a time, to find out whether it still is. */
  isNarrow: boolean;
  readonly consume: () => Promise<unknown>;
  open: boolean;
  consuming: boolean;
};
type Item = InHand & { readonly session: Session; readonly message: ConsumeMessage };

/** Between 1.5 and 3 s: what is in the queue has come by then. */
const idlePauses = 5;
const isFine = [() => true, () => false] as const;

/** `reopen`: gives up the channel for another one; what is in hand comes back. */
export type RabbitmqConsumer = Consumer & { reopen(): void };

export const makeConsumer = (deps: ConsumerDeps): RabbitmqConsumer => {
  const { queue, options, publisher } = deps;
  const log = deps.log.child({ queue });
  let session: Session | null = null;
  let lostBefore = false;
  let stopping: Promise<void> | null = null;
  const ending = new AbortController();
  const isEnding = (): boolean => ending.signal.aborted;
  let becomeReady: () => void;
  const ready = new Promise<void>((resolve) => (becomeReady = resolve));

  const redeclare = async (): Promise<void> => {
    const model = await deps.connection.up();
    if (model) await deps.declareAgain(model).catch(() => undefined);
  };

  const send = async (messages: readonly OutgoingMessage[]): Promise<readonly RepublishOutcome[]> => {
    const nacked = new Set<number>();
    const sent = await publisher.send(messages, undefined, (index) => nacked.add(index));
    // A parked queue may have been deleted: it is there again when the message comes back.
    if (sent.includes('unroutable')) await redeclare();
    return nacked.size === 0 ? sent : sent.map((outcome, at) => (nacked.has(at) ? 'nacked' : outcome));
  };

  /**
   * A consumer keeps the prefetch that it began with, so it is cancelled and consumes again. What it has in hand stays:
   * to close the channel would put that behind the others that came back with it (3.10).
   */
  const widen = async (on: Session): Promise<void> => {
    on.isNarrow = false;
    try {
      await on.channel.cancel(deps.consumerTag);
      await on.channel.prefetch(options.prefetch);
      if (!isEnding()) await on.consume();
    } catch (error) {
      log.debug({ err: error }, 'channel lost, the next one takes the whole prefetch');
      if (session === on) channels.reopen();
    }
  };

  /** The only place that settles. */
  const settle = (items: readonly Item[], answers: readonly Answer[]): void => {
    const [first] = items;
    // A dead channel's deliveries are the broker's again; to settle them on another would settle the wrong ones.
    if (!first?.session.open) return;
    const { channel, prefix, isNarrow } = first.session;
    // It came through. Before the ack: nothing comes in between, so a single active consumer may change here, in order.
    if (isNarrow && !isEnding()) void widen(first.session);
    const tags = items.map(({ message }) => message.fields.deliveryTag);
    try {
      for (const { answer, tag, multiple } of prefix.finish(tags, answers)) {
        const message = { ...first.message, fields: { ...first.message.fields, deliveryTag: tag } };
        if (answer === 'ack') channel.ack(message, multiple);
        else if (answer === 'reject') channel.reject(message, true);
        else channel.nack(message, multiple, answer === 'giveBack');
      }
    } catch (error) {
      // The channel closed under our hands: whatever is not settled comes back.
      log.debug({ err: error }, 'settled too late');
    }
  };

  /**
   * The broker closes the channel of who keeps a delivery for longer than `consumer_timeout`, which counts against the
   * delivery limit. So it is closed by us, shortly before, and opened again when the dependency answers, for one delivery:
   * an outage of days costs each delivery in hand one count, and only the first of the queue one more each time that the
   * dependency answers and the delivery finds it down all the same.
   */
  const onHeld = (sinceMs: number): void => {
    const on = session;
    if (!on?.open || deps.now().getTime() - Math.max(sinceMs, on.openedAt) < deps.holdLimitMs) return;
    log.warn({ holdLimitMs: deps.holdLimitMs }, 'held for too long, what is in hand goes back to the queue');
    on.open = false;
    channels.reopen();
  };

  const loop = makeConsumeLoop<Item>({
    queue,
    handle: deps.handle,
    options,
    send,
    ladder: deps.ladder,
    now: deps.now,
    log,
    metrics: deps.metrics,
    isOurs: ({ session: on }) => on.open,
    settle,
    onHeld,
  });

  /** Nothing is in hand that could be the probe, so the dependency itself is asked, if there is a way to. */
  const dependencyAnswers = async (): Promise<void> => {
    for (let attempt = 0; !ending.signal.aborted; attempt += 1) {
      const dependency = loop.dependency();
      if (dependency === null || !options.probe) return;
      if (await options.probe(dependency).then(...isFine)) return;
      await pause(attempt, ending.signal);
    }
  };

  /** On a queue that is empty, or another consumer's, no delivery comes that could find out: the dependency is asked. */
  const askWhileIdle = async (on: Session): Promise<void> => {
    const isServing = (): boolean => on.open && !isEnding();
    while (isServing() && loop.dependency() !== null) {
      await pause(idlePauses, ending.signal);
      if (loop.inHand() > 0) continue;
      await dependencyAnswers();
      if (!isServing()) return;
      loop.answered();
      if (on.isNarrow && loop.dependency() === null) await widen(on);
    }
  };

  const lost = (channel: Channel): void => {
    lostBefore = true;
    if (session?.channel !== channel) return;
    session.open = false;
    session = null;
    loop.forget();
  };

  const channels = keepChannel<Channel>({
    connection: deps.connection,
    log,
    open: async (model) => {
      await dependencyAnswers();
      if (lostBefore) await deps.declareAgain(model);
      return model.createChannel();
    },
    start: async (channel) => {
      const openedAt = deps.now().getTime();
      const isNarrow = loop.dependency() !== null;
      const prefix = makeFinishedPrefix();
      const consume = () => channel.consume(queue, onMessage, { consumerTag: deps.consumerTag });
      const opened: Session = { channel, openedAt, prefix, isNarrow, consume, open: true, consuming: false };
      session = opened;
      // Before `consume`: after it there is no limit.
      await channel.prefetch(isNarrow ? 1 : options.prefetch);
      const onMessage = (message: ConsumeMessage | null): void => {
        // Given up meanwhile: it comes again.
        if (!opened.open) return;
        if (message)
          loop.push({ delivery: toDelivery(queue, message), unsent: null, tried: false, session: opened, message });
        // The broker cancelled us (the queue was deleted); the channel lives on and would bring nothing more.
        else void channel.close().catch(() => undefined);
      };
      await consume();
      opened.consuming = true;
      becomeReady();
      if (isNarrow) void askWhileIdle(opened);
    },
    lost,
  });

  /**
   * A single active consumer is not cancelled: the next one would get what comes after the unsettled ones before
   * those are back. Its unstarted deliveries return, in order, when its channel closes.
   */
  const drain = async (): Promise<void> => {
    loop.stop();
    ending.abort();
    const on = session;
    if (on && !deps.isSingleActive()) {
      await on.channel.cancel(deps.consumerTag).catch(() => undefined);
      loop.handBack();
    }
    await loop.idle();
    await channels.close();
  };

  const isConsuming = (): boolean => session?.open === true && session.consuming;

  const stateNow = (): ConsumerHealth['state'] => {
    if (stopping) return 'stopped';
    if (isConsuming()) return loop.dependency() === null ? 'consuming' : 'paused';
    return lostBefore ? 'recovering' : 'starting';
  };

  return {
    ready,
    isConsuming: () => isConsuming() && stopping === null,
    health: () => ({
      queue,
      state: stateNow(),
      dependency: stopping ? null : loop.dependency(),
      inHand: loop.inHand(),
    }),
    reopen: () => {
      channels.reopen();
    },
    stop: () => (stopping ??= drain()),
  };
};
