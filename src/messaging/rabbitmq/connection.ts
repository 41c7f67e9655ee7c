import type { ChannelModel } from 'amqplib';
import { hostname } from 'node:os';
import { asError } from '../../errors.js';
import type { Logger } from '../../logger.js';
import { pause } from './back-off.js';
import type { BrokerHost } from './broker-url.js';
import { closeQuietly } from './closing.js';
import type { Connect, OpenConnection } from './connect.js';
import type { Outage } from './outage.js';
import { explain, type Trouble } from './trouble.js';

/** One connection that comes back by itself. */
export type BrokerConnection = {
  /** The open connection, now or when there is one; null once this is closed. */
  up(): Promise<ChannelModel | null>;
  isUp(): boolean;
  /** Milliseconds since 1970 since when it is up; null: it is not. */
  upSince(): number | null;
  /** Why it is not up; null: it is, or nothing was tried yet. `refused` once each host was asked. */
  trouble(): Trouble | null;
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
  readonly connect: Connect;
  readonly log: Logger;
  /** The same for all connections of the process. */
  readonly outage: Outage;
  readonly now: () => Date;
  /** Runs on each new connection before anybody else may use it. */
  readonly setUp: (model: ChannelModel) => Promise<void>;
  /** A declaration that hangs while the connection lives is noticed by nothing else. */
  readonly setUpLimitMs?: number;
  readonly onReconnect: () => void;
  readonly onBlocked: (blocked: boolean) => void;
};

/** `warren/<role>@<host>#<pid>`: who is it, on the management page and in MongoDB's list of connections. */
export const clientName = (role: string): string => `warren/${role}@${hostname()}#${process.pid}`;

/** The supervised loop: connect, set up, serve until the end, next host, back off after a round of them. */
export const makeConnection = (deps: ConnectionDeps): BrokerConnection => {
  const { hosts, log, outage, now, setUpLimitMs = 30_000 } = deps;
  const closing = new AbortController();
  const isClosing = (): boolean => closing.signal.aborted;
  const waiters = new Set<(model: ChannelModel | null) => void>();
  const unblockedListeners = new Set<() => void>();
  /** From connected to gone; `current` while it is in service. */
  let opened: OpenConnection | null = null;
  let current: OpenConnection | null = null;
  let blockedBy: string | null = null;
  let upSince: number | null = null;
  let wasUp = false;
  let reconnectedAt: number | null = null;
  /** What the last tries of one round met. */
  let troubles: readonly Trouble[] = [];

  const say = (host: BrokerHost, error: Error): void => {
    if (isClosing()) return;
    const trouble = explain(error, host);
    troubles = [...troubles, trouble].slice(-hosts.length);
    if (!outage.isNews(trouble.text)) return;
    log.warn({ host: host.name, reason: trouble.text }, `waiting for RabbitMQ at ${host.name}: ${trouble.text}`);
  };

  /** The broker says it of a connection, so it ends with that one; the next is told again when it publishes. */
  const setBlocked = (host: BrokerHost, reason: string | null): void => {
    if (reason === blockedBy) return;
    const was = blockedBy !== null;
    blockedBy = reason;
    if (was !== (reason !== null)) deps.onBlocked(reason !== null);
    if (reason !== null) {
      log.warn({ host: host.name, reason }, 'RabbitMQ does not take messages for now, waiting');
      return;
    }
    if (opened) log.info({ host: host.name }, 'RabbitMQ takes messages again');
    for (const listener of unblockedListeners) listener();
  };

  const announce = (open: OpenConnection, host: BrokerHost): void => {
    current = open;
    troubles = [];
    outage.end();
    upSince = now().getTime();
    if (wasUp) {
      reconnectedAt = upSince;
      deps.onReconnect();
    }
    wasUp = true;
    log.info({ host: host.name }, 'connected to RabbitMQ');
    for (const waiter of waiters) waiter(open.model);
    waiters.clear();
  };

  const setUp = async (open: OpenConnection): Promise<void> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const error = new Error(`could not set the connection up within ${setUpLimitMs} ms`);
        open.destroy(error);
        reject(error);
      }, setUpLimitMs);
    });
    try {
      await Promise.race([deps.setUp(open.model), late]);
    } finally {
      clearTimeout(timer);
    }
  };

  /** Connects and stays until the connection ends. True: it was in service. */
  const serve = async (host: BrokerHost): Promise<boolean> => {
    let inService = false;
    let open: OpenConnection | null = null;
    try {
      open = await deps.connect(host, closing.signal, (reason) => {
        setBlocked(host, reason);
      });
      opened = open;
      // `close` may have come while nobody had it, or while it was set up.
      if (!isClosing()) await setUp(open);
      if (isClosing()) await closeQuietly(open.model);
      else {
        announce(open, host);
        inService = true;
        say(host, await open.gone);
      }
    } catch (error) {
      say(host, asError(error));
      if (open) await closeQuietly(open.model);
    }
    // In this order: whoever hears that it is unblocked must not find it in service.
    [opened, current, upSince] = [null, null, null];
    setBlocked(host, null);
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

  const trouble = (): Trouble | null => {
    const last = troubles.at(-1);
    if (current || !last) return null;
    const refusal = troubles.length === hosts.length ? troubles.find(({ refused }) => refused) : undefined;
    return refusal ?? { text: last.text, refused: false };
  };

  return {
    up: () => {
      if (isClosing() || current) return Promise.resolve(current?.model ?? null);
      return new Promise((resolve) => waiters.add(resolve));
    },
    isUp: () => current !== null,
    upSince: () => upSince,
    trouble,
    isBlocked: () => blockedBy !== null,
    reconnectedAt: () => reconnectedAt,
    onUnblocked: (listener) => unblockedListeners.add(listener),
    close: async () => {
      const open = current;
      current = null;
      closing.abort();
      for (const waiter of waiters) waiter(null);
      waiters.clear();
      if (open) await closeQuietly(open.model);
      // It has said goodbye, or nobody listens there; one that is being set up is in nobody's hand.
      opened?.destroy(new Error('closed'));
      await running;
    },
  };
};
