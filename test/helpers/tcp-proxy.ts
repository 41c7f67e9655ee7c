import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Which way bytes go. */
export type Way = 'to-server' | 'to-client';

/**
 * A TCP proxy in front of a server that a test may not stop: before `listen` the server is not there yet, after `cut`
 * it is gone, after `resume` it is back. `slow` and `halfOpen` make a bad network of it, `heal` a good one.
 */
export type TcpProxy = {
  /** The URL of the server, by way of this proxy. */
  readonly url: string;
  /** Takes connections from now on. */
  listen(): Promise<void>;
  /** Breaks every connection; takes no new ones either, unless `accept` says so. */
  cut(options?: { readonly accept?: boolean }): Promise<void>;
  /** `listen` after `cut`. */
  resume(): Promise<void>;
  /** From now on every byte arrives this much later, each way, in order. */
  slow(latencyMs: number): void;
  /**
   * Connections stay and new ones are accepted, but bytes going this way (none: both ways) are lost, and so is the end
   * of a connection: as if a cable were pulled. With `existing` only those that are open now: as if a firewall had
   * forgotten them.
   */
  halfOpen(way?: Way, options?: { readonly existing?: boolean }): void;
  /** Ends `slow` and `halfOpen`; a connection that lost something is reset, since the rest of it would make no sense. */
  heal(): void;
  close(): Promise<void>;
};

const address = '127.0.0.1';

/** Below the ports that the system gives to outgoing connections: nobody takes it while we do not listen. */
const candidatePort = (): number => 10_000 + Math.floor(Math.random() * 20_000);

const listenOn = (server: Server, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.off('error', reject);
      resolve();
    });
  });

const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
  });

const reservePort = async (): Promise<number> => {
  for (;;) {
    const port = candidatePort();
    const server = createServer();
    try {
      await listenOn(server, port);
    } catch {
      continue;
    }
    await closed(server);
    return port;
  }
};

const parts = /^([a-z+]+:\/\/(?:[^@/]*@)?)([^/?,]+)(?:,[^/?]*)?(.*)$/;

const viaPort = (url: string, port: number) => {
  const [, start, host, end] = parts.exec(url) ?? [];
  if (start === undefined || host === undefined || end === undefined)
    throw new Error('No URL that a proxy can stand before');
  const target = new URL(`tcp://${host}`);
  const defaultPort = start.startsWith('amqp') ? 5672 : 27_017;
  // The member of a replica set that a client finds by name would be reached past the proxy.
  const direct = !start.startsWith('mongodb') || end.includes('directConnection=');
  const path = direct ? end : `${end === '' ? '/' : end}${end.includes('?') ? '&' : '?'}directConnection=true`;
  return {
    host: target.hostname,
    port: Number(target.port || defaultPort),
    url: `${start}${address}:${port}${path}`,
  };
};

/** A proxy for the first host of an `amqp://` or `mongodb://` URL, on a port of its own. It does not listen yet. */
export const makeTcpProxy = async (serverUrl: string): Promise<TcpProxy> => {
  const port = await reservePort();
  const target = viaPort(serverUrl, port);
  /** Where the bytes go that come from a socket. */
  const sockets = new Map<Socket, Way>();
  const silent = new Set<Socket>();
  const broken = new Set<Socket>();
  const lost = new Set<Way>();
  let latencyMs = 0;
  let server: Server | null = null;

  const forward = (from: Socket, to: Socket, way: Way): void => {
    sockets.set(from, way);
    from.setNoDelay(true);
    const isLost = (): boolean => {
      if (!lost.has(way) && !silent.has(from)) return false;
      broken.add(from).add(to);
      return true;
    };
    // One after the other, or bytes would overtake each other when the latency changes.
    let passing = Promise.resolve();
    const later = (act: () => void): void => {
      const dueAt = performance.now() + latencyMs;
      passing = passing.then(async () => {
        const waitMs = dueAt - performance.now();
        if (waitMs > 0) await delay(waitMs);
        act();
      });
    };
    from.on('data', (chunk: Buffer) => {
      if (isLost()) return;
      later(() => {
        if (to.write(chunk) || to.destroyed) return;
        from.pause();
        to.once('drain', () => from.resume());
      });
    });
    from.once('end', () => {
      if (!isLost()) later(() => to.end());
    });
    // A reset on one side is one on the other.
    from.on('error', () => undefined);
    from.once('close', () => {
      sockets.delete(from);
      if (!isLost()) later(() => to.destroy());
    });
  };

  const accept = (client: Socket): void => {
    const upstream = connect(target.port, target.host);
    forward(client, upstream, 'to-server');
    forward(upstream, client, 'to-client');
  };

  const listen = async (): Promise<void> => {
    if (server) return;
    const opened = createServer(accept);
    await listenOn(opened, port);
    server = opened;
  };

  const cut: TcpProxy['cut'] = async ({ accept: goOn = false } = {}) => {
    const ending = goOn ? null : server;
    if (!goOn) server = null;
    const done = ending ? closed(ending) : Promise.resolve();
    for (const socket of sockets.keys()) socket.resetAndDestroy();
    await done;
  };

  return {
    url: target.url,
    listen,
    cut,
    resume: listen,
    slow: (ms) => {
      latencyMs = ms;
    },
    halfOpen: (way, { existing = false } = {}) => {
      const ways = way ? [way] : (['to-server', 'to-client'] as const);
      if (!existing) for (const each of ways) lost.add(each);
      else for (const [socket, its] of sockets) if (ways.includes(its)) silent.add(socket);
    },
    heal: () => {
      latencyMs = 0;
      lost.clear();
      silent.clear();
      for (const socket of broken) socket.resetAndDestroy();
      broken.clear();
    },
    close: () => cut(),
  };
};
