import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';

/** In front of a MongoDB server, for connections that hang while both ends believe that they are well. */
export type StallingProxy = {
  readonly url: string;
  /** From now on connections that send more than `bytes` are read no further; the others work. */
  stallAbove(bytes: number): void;
  stalled(): number;
  close(): Promise<void>;
};

/** @param serverUrl one host, with `directConnection=true` */
export const makeStallingProxy = async (serverUrl: string): Promise<StallingProxy> => {
  const target = new URL(serverUrl);
  const sockets = new Set<Socket>();
  let [limit, stalled] = [Number.POSITIVE_INFINITY, 0];

  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    upstream.pipe(client);
    let sent = 0;
    client.on('data', (chunk: Buffer) => {
      sent = limit === Number.POSITIVE_INFINITY ? 0 : sent + chunk.length;
      if (sent <= limit) {
        upstream.write(chunk);
        return;
      }
      client.pause();
      stalled += 1;
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');

  const url = new URL(serverUrl);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.href,
    stallAbove: (bytes) => {
      limit = bytes;
    },
    stalled: () => stalled,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
};
