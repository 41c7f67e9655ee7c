import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

const listen = async (port: number): Promise<Server | null> => {
  const server = createServer().listen({ port, host: '127.0.0.1', exclusive: true });
  try {
    await once(server, 'listening');
    return server;
  } catch {
    return null;
  }
};

/**
 * `count` ports of 127.0.0.1 that nobody listens on. Below 32768, where Linux takes the ports of outgoing connections
 * from: one of those could take ours between this look and the start of the server.
 */
export const freePorts = async (count: number): Promise<readonly number[]> => {
  const servers = new Map<number, Server>();
  while (servers.size < count) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = servers.has(port) ? null : await listen(port);
    if (server) servers.set(port, server);
  }
  await Promise.all([...servers.values()].map((server) => once(server.close(), 'close')));
  return [...servers.keys()];
};
