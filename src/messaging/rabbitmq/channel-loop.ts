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
  /** No new channel; the open one is closed and what it has buffered is sent first. */
  close(): Promise<void>;
};

/**
 * Keeps one channel open: an error closes a channel while its connection stays, so a channel has a loop of its own.
 * Waits for the connection, opens, starts, waits for the end, backs off, again.
 */
export const keepChannel = <Opened extends Channel>(deps: ChannelLoopDeps<Opened>): ChannelLoop => {
  const closing = new AbortController();
  const isClosing = (): boolean => closing.signal.aborted;
  let current: Opened | null = null;

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
    await gone;
    const reason = errors.at(-1)?.message;
    // Without an error it was the connection, which says so itself.
    if (reason !== undefined && !isClosing()) deps.log.warn({ reason }, 'channel lost, opening it again');
    return true;
  };

  const run = async (): Promise<void> => {
    let failures = 0;
    let said = '';
    while (!isClosing()) {
      const model = await deps.connection.up();
      if (!model) return;
      try {
        failures = (await serve(model)) ? 0 : failures + 1;
        said = '';
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
    close: async () => {
      closing.abort();
      if (current) await closeQuietly(current);
    },
  };
};
