import { connect, type ChannelModel } from 'amqplib';
import { hostname } from 'node:os';
import { asError, hasCode } from '../../errors.js';
import type { Logger } from '../../logger.js';
import { pause } from './back-off.js';
import type { BrokerHost } from './broker-url.js';
import { closeQuietly } from './closing.js';
import { corkWrites } from './cork.js';
import type { Outage } from './outage.js';

/** One connection that comes back by itself. */
export type BrokerConnection = {
  /** The open connection, now or when there is one; null once this is closed. */
  up(): Promise<ChannelModel | null>;
  isUp(): boolean;
  /** Has the broker stopped reading from us (memory or disk alarm)? */
  isBlocked(): boolean;
  /** Milliseconds since 1970 of the last time it came back; null: never lost. */
  reconnectedAt(): number | null;
  onUnblocked(listener: () => void): void;
  /** Resolves when the socket is closed; channels must be closed before, since this overtakes what they have buffered. */
  close(): Promise<void>;
};

export type ConnectionDeps = {
  readonly hosts: readonly BrokerHost[];
  readonly purpose: string;
  readonly role: string;
  readonly log: Logger;
  /** The same for all connections of the process. */
  readonly outage: Outage;
  readonly now: () => Date;
  /** Runs on each new connection before anybody else may use it. */
  readonly setUp: (model: ChannelModel) => Promise<void>;
  readonly onReconnect: () => void;
};

const connectTimeoutMs = 10_000;

/** `warren/<role>@<host>#<pid>`: who is it, on the management page and in MongoDB's list of connections. */
export const clientName = (role: string): string => `warren/${role}@${hostname()}#${process.pid}`;

/** What a person can mend, in words: amqplib shows a refused vhost only as the frame that it did not expect. */
const explain = (error: Error, host: BrokerHost): string => {
  if (/ACCESS.REFUSED/.test(error.message)) return 'the broker refuses user or password';
  if (error.message.startsWith('Expected ConnectionOpenOk; got <ConnectionClose')) {
    return `the broker has no vhost ${host.vhost}, or the user may not use it`;
  }
  // The error of several tried addresses has no text of its own.
  return error.message === '' ? ((error as NodeJS.ErrnoException).code ?? error.name) : error.message;
};

export const makeConnection = (deps: ConnectionDeps): BrokerConnection => {
  const { hosts, purpose, outage, now } = deps;
  const log = deps.log.child({ connection: purpose });
  const closing = new AbortController();
  const isClosing = (): boolean => closing.signal.aborted;
  const waiters = new Set<(model: ChannelModel | null) => void>();
  const unblockedListeners = new Set<() => void>();
  let current: ChannelModel | null = null;
  let blocked = false;
  let wasUp = false;
  let reconnectedAt: number | null = null;

  const say = (host: BrokerHost, error: Error): void => {
    const reason = explain(error, host);
    if (!outage.isNews(reason)) return;
    const entry = { host: host.name, reason };
    if (hasCode(error, 'TOPOLOGY')) log.error(entry, 'broker topology differs, waiting for it to be mended');
    else log.warn(entry, `waiting for RabbitMQ at ${host.name}: ${reason}`);
  };

  const listen = (model: ChannelModel, host: BrokerHost): Promise<Error> =>
    new Promise((gone) => {
      const errors: Error[] = [];
      // Without an error listener the process dies; `close` follows each error that ends the connection.
      model.on('error', (error: Error) => {
        errors.push(error);
      });
      model.on('handler-error', (error: Error) => {
        log.error({ err: error }, 'a connection listener failed');
      });
      model.on('close', (error?: Error) => {
        gone(errors.at(-1) ?? error ?? new Error('connection closed'));
      });
      model.on('blocked', (reason: string) => {
        if (current === model) blocked = true;
        log.warn({ host: host.name, reason }, 'RabbitMQ does not take messages for now, waiting');
      });
      model.on('unblocked', () => {
        if (current === model) blocked = false;
        log.info({ host: host.name }, 'RabbitMQ takes messages again');
        for (const listener of unblockedListeners) listener();
      });
    });

  const announce = (model: ChannelModel, host: BrokerHost): void => {
    current = model;
    outage.end();
    if (wasUp) {
      reconnectedAt = now().getTime();
      deps.onReconnect();
    }
    wasUp = true;
    log.info({ host: host.name }, 'connected to RabbitMQ');
    for (const waiter of waiters) waiter(model);
    waiters.clear();
  };

  /** Connects and stays until the connection ends. True: it was in service. */
  const serve = async (host: BrokerHost): Promise<boolean> => {
    let inService = false;
    try {
      const model = await connect(host.url, {
        timeout: connectTimeoutMs,
        noDelay: true,
        keepAlive: true,
        clientProperties: { connection_name: `${clientName(deps.role)}/${purpose}` },
      });
      const gone = listen(model, host);
      corkWrites(model);
      try {
        await deps.setUp(model);
      } catch (error) {
        await closeQuietly(model);
        throw error;
      }
      if (isClosing()) {
        await closeQuietly(model);
        return false;
      }
      announce(model, host);
      inService = true;
      const reason = await gone;
      current = null;
      blocked = false;
      if (!isClosing()) say(host, reason);
    } catch (error) {
      if (!isClosing()) say(host, asError(error));
    }
    return inService;
  };

  const run = async (): Promise<void> => {
    let place = Math.floor(Math.random() * hosts.length);
    let failures = 0;
    while (!isClosing()) {
      const host = hosts[place % hosts.length];
      if (!host) return;
      failures = (await serve(host)) ? 0 : failures + 1;
      place += 1;
      // The next host at once; a pause only after a whole round.
      if (failures % hosts.length === 0) await pause(failures / hosts.length, closing.signal);
    }
  };
  const running = run();

  return {
    up: () => {
      if (isClosing() || current) return Promise.resolve(current);
      return new Promise((resolve) => waiters.add(resolve));
    },
    isUp: () => current !== null,
    isBlocked: () => blocked,
    reconnectedAt: () => reconnectedAt,
    onUnblocked: (listener) => unblockedListeners.add(listener),
    close: async () => {
      const model = current;
      current = null;
      closing.abort();
      for (const waiter of waiters) waiter(null);
      waiters.clear();
      if (model) await closeQuietly(model);
      await running;
    },
  };
};
