import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';

/** A way to the broker; `url` is that of the broker with this address in it. */
export type BrokerProxy = { readonly url: string; close(): Promise<void> };

const folder = join(import.meta.dirname, 'tls');
export const tlsFile = (name: string): string => join(folder, name);

const targetOf = (brokerUrl: string) => {
  const { hostname, port } = new URL(brokerUrl);
  return { host: hostname, port: Number(port === '' ? 5672 : port) };
};

const listen = async (server: Server, sockets: ReadonlySet<Socket>, brokerUrl: string, scheme: string) => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: brokerUrl.replace(/^amqps?:\/\/([^@]*@)?[^/?]+/, `${scheme}://$1127.0.0.1:${port}`),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
};

const couple = (sockets: Set<Socket>, client: Socket, broker: Socket): void => {
  for (const [socket, other] of [
    [client, broker],
    [broker, client],
  ] as const) {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      other.destroy();
    });
  }
};

/** Speaks TLS with the certificate for `broker.test`; may want one of the client. */
export const makeTlsProxy = (brokerUrl: string, { clientCertificate = false } = {}): Promise<BrokerProxy> => {
  const { host, port } = targetOf(brokerUrl);
  const sockets = new Set<Socket>();
  const options = {
    cert: readFileSync(tlsFile('broker.pem')),
    key: readFileSync(tlsFile('broker.key')),
    ...(clientCertificate ? { requestCert: true, rejectUnauthorized: true, ca: readFileSync(tlsFile('ca.pem')) } : {}),
  };
  const server = createTlsServer(options, (client) => {
    const broker = connect(port, host);
    couple(sockets, client, broker);
    client.pipe(broker);
    broker.pipe(client);
  });
  return listen(server, sockets, brokerUrl, 'amqps');
};

const frameHeaderBytes = 7;
const methodFrame = 1;

/** Hands on whole frames of the broker, but for those that `isLost` says. */
const frameFilter = (isLost: (classId: number, methodId: number) => boolean, write: (frame: Buffer) => void) => {
  let rest = Buffer.alloc(0);
  return (chunk: Buffer): void => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= frameHeaderBytes) {
      const end = frameHeaderBytes + rest.readUInt32BE(3) + 1;
      if (rest.length < end) return;
      const frame = rest.subarray(0, end);
      rest = rest.subarray(end);
      const isMethod = frame[0] === methodFrame;
      if (!isMethod || !isLost(frame.readUInt16BE(frameHeaderBytes), frame.readUInt16BE(frameHeaderBytes + 2))) {
        write(frame);
      }
    }
  };
};

/** Loses each `basic.cancel` of the broker: its consumers never hear that they are none any more. */
export const makeCancelLosingProxy = async (
  brokerUrl: string,
): Promise<BrokerProxy & { readonly lost: () => number }> => {
  const { host, port } = targetOf(brokerUrl);
  const sockets = new Set<Socket>();
  let lost = 0;
  const isCancel = (classId: number, methodId: number): boolean => {
    const found = classId === 60 && methodId === 30;
    if (found) lost += 1;
    return found;
  };
  const server = createTcpServer((client) => {
    const broker = connect(port, host);
    couple(sockets, client, broker);
    client.pipe(broker);
    const pass = frameFilter(isCancel, (frame) => client.write(frame));
    broker.on('data', pass);
  });
  const proxy = await listen(server, sockets, brokerUrl, 'amqp');
  return { ...proxy, lost: () => lost };
};
