import type { Channel, ChannelModel } from 'amqplib';
import { asError } from '../../errors.js';
import type { Logger } from '../../logger.js';
import { pause } from './back-off.js';
import { closeQuietly } from './closing.js';
import type { BrokerConnection } from './connection.js';

export type ChannelLoopDeps<Opened extends Channel> = {
  readonly connection: BrokerConnection;
  readonly log: Logger;
  readonly open: (model: ChannelModel) => Promise<Opened>;
  /** Makes it useful, with at least one round trip: a channel that closed before it had listeners must fail here. */
  readonly start: (channel: Opened) => Promise<void>;
  /** Nothing can be sent on it any more. Called once for each started or half-started channel. */
  readonly lost: (channel: Opened) => void;
};

export type ChannelLoop = {
  /** The open channel is given up, whether the broker answers or not, and another one opened. */
  reopen(): void;
  /** No new channel; the open one is closed and what it has buffered is sent first. */
  close(): Promise<void>;
};

/** A channel that lives shorter does not work: to open it again at once would go on and on, ten times a second. */
const shortLifeMs = 5000;

/**
 * Keeps one channel open: an error closes a channel while its connection stays, so a channel has a loop of its own.
 * Waits for the connection, opens, starts, waits for the end, backs off, again.
 */
export const keepChannel = <Opened extends Channel>(deps: ChannelLoopDeps<Opened>): ChannelLoop => {
  const closing = new AbortController();
  const isClosing = (): boolean => closing.signal.aborted;
  let current: Opened | null = null;
  /** The reason that was logged last, and is not logged again until a channel was of use. */
  let said = '';

  /** Opens and stays until the channel ends. True: it was of use. */
  const serve = async (model: ChannelModel): Promise<boolean> => {
    const channel = await deps.open(model);
    const errors: Error[] = [];
    const gone = new Promise<void>((resolve) => {
      channel.on('error', (error: Error) => errors.push(error));
      channel.on('handler-error', (error: Error) => {
        deps.log.error({ err: error }, 'a channel listener failed');
      });
      channel.once('close', () => {
        current = null;
        deps.lost(channel);
        resolve();
      });
    });
    if (isClosing()) {
      await closeQuietly(channel);
      return false;
    }
    current = channel;
    try {
      await deps.start(channel);
    } catch (error) {
      await closeQuietly(channel);
      throw errors.at(-1) ?? error;
    }
    const startedAt = performance.now();
    await gone;
    const reason = errors.at(-1)?.message;
    const wasUseful = performance.now() - startedAt >= shortLifeMs;
    // Without an error it was the connection, which says so itself, or we.
    if (reason === undefined) return true;
    if (!isClosing() && reason !== said) deps.log.warn({ reason }, 'channel lost, opening it again');
    said = wasUseful ? '' : reason;
    return wasUseful;
  };

  const run = async (): Promise<void> => {
    let failures = 0;
    while (!isClosing()) {
      const model = await deps.connection.up();
      if (!model) return;
      try {
        failures = (await serve(model)) ? 0 : failures + 1;
      } catch (error) {
        failures += 1;
        const reason = asError(error).message;
        if (reason !== said && deps.connection.isUp()) deps.log.warn({ reason }, 'channel not usable, trying again');
        said = reason;
      }
      await pause(failures, closing.signal);
    }
  };
  void run();

  return {
    reopen: () => {
      if (current) void closeQuietly(current);
    },
    close: async () => {
      closing.abort();
      if (current) await closeQuietly(current);
    },
  };
};
