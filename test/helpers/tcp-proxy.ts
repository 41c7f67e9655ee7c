import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A TCP proxy in front of a server that a test may not stop: before `listen` the server is not there yet, after `cut`
 * it is gone, after `resume` it is back.
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
  const sockets = new Set<Socket>();
  let server: Server | null = null;

  const keep = (socket: Socket, other: () => Socket): void => {
    sockets.add(socket);
    socket.setNoDelay(true);
    // A reset on one side is one on the other.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      sockets.delete(socket);
      other().destroy();
    });
  };

  const accept = (client: Socket): void => {
    const upstream = connect(target.port, target.host);
    keep(client, () => upstream);
    keep(upstream, () => client);
    client.pipe(upstream);
    upstream.pipe(client);
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
    for (const socket of sockets) socket.resetAndDestroy();
    await done;
  };

  return { url: target.url, listen, cut, resume: listen, close: () => cut() };
};
