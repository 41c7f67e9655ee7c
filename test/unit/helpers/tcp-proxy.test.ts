import { expect } from 'chai';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { eventually } from '../../helpers/eventually.js';
import { makeTcpProxy, type TcpProxy } from '../../helpers/tcp-proxy.js';

/** One end of a connection and what came there. */
type End = { readonly socket: Socket; text: string };

const watch = (socket: Socket): End => {
  const end: End = { socket, text: '' };
  socket.on('data', (chunk: Buffer) => (end.text += chunk.toString()));
  socket.on('error', () => undefined);
  return end;
};

describe('the TCP proxy of the tests', () => {
  const ends: End[] = [];
  let server: Server;
  let proxy: TcpProxy;

  /** A connection by way of the proxy; both of its ends. */
  const open = async (): Promise<{ readonly client: End; readonly upstream: End }> => {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = watch(connect(Number(new URL(proxy.url).port), '127.0.0.1'));
    const [socket] = await accepted;
    const upstream = watch(socket);
    ends.push(client, upstream);
    return { client, upstream };
  };
  const holds = (end: End, text: string): Promise<void> =>
    eventually(() => {
      expect(end.text).to.equal(text);
    });
  const isClosed = (end: End): Promise<void> =>
    eventually(() => {
      expect(end.socket.destroyed).to.equal(true);
    });

  beforeEach(async () => {
    server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    proxy = await makeTcpProxy(`amqp://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await proxy.listen();
  });
  afterEach(async () => {
    await proxy.close();
    for (const { socket } of ends.splice(0)) socket.destroy();
    await once(server.close(), 'close');
  });

  it('slow: bytes arrive later each way, none of them lost, and in order when it ends in between', async () => {
    const { client, upstream } = await open();
    proxy.slow(150);
    const sentAt = performance.now();
    client.socket.write('a');
    upstream.socket.write('z');
    await Promise.all([once(upstream.socket, 'data'), once(client.socket, 'data')]);
    expect(performance.now() - sentAt).to.be.within(149, 2_000);
    proxy.slow(300);
    client.socket.write('b');
    // Loopback is there at once: two turns later the proxy has read it.
    for (let turn = 0; turn < 2; turn += 1) await setImmediate();
    proxy.heal();
    client.socket.write('c');
    await holds(upstream, 'abc');
    await holds(client, 'z');
  });

  it('halfOpen: bytes of old and new connections are lost, and nobody is told', async () => {
    const { client, upstream } = await open();
    proxy.halfOpen('to-server');
    const { client: late, upstream: lateUpstream } = await open();
    client.socket.write('lost');
    late.socket.write('lost');
    // The other way goes on, so this shows that the proxy had its turn.
    upstream.socket.write('marker');
    await holds(client, 'marker');
    client.socket.destroy();
    lateUpstream.socket.write('marker');
    await holds(late, 'marker');
    expect([upstream.text, lateUpstream.text, upstream.socket.destroyed]).to.deep.equal(['', '', false]);
  });

  it('halfOpen without a way loses the bytes of both', async () => {
    const { client, upstream } = await open();
    proxy.halfOpen();
    // Each end closes when the proxy has read its last byte, and hears nothing of the other.
    const closed = [client, upstream].map(({ socket }) => once(socket.end('lost'), 'close'));
    await Promise.all(closed);
    expect([client.text, upstream.text]).to.deep.equal(['', '']);
  });

  it('heal resets what lost something and leaves the others alone', async () => {
    const hurt = await open();
    const whole = await open();
    proxy.halfOpen('to-client');
    await once(hurt.upstream.socket.end('lost'), 'close');
    hurt.client.socket.write('unheard');
    whole.client.socket.write('heard');
    await holds(whole.upstream, 'heard');
    expect(hurt.client.socket.destroyed).to.equal(false);
    proxy.heal();
    await isClosed(hurt.client);
    whole.upstream.socket.write('again');
    await holds(whole.client, 'again');
  });

  it('cut resets every connection and refuses new ones until resume', async () => {
    const { client, upstream } = await open();
    await proxy.cut();
    await Promise.all([isClosed(client), isClosed(upstream)]);
    const refused = watch(connect(Number(new URL(proxy.url).port), '127.0.0.1'));
    await isClosed(refused);
    await proxy.resume();
    const again = await open();
    again.client.socket.write('a');
    await holds(again.upstream, 'a');
  });
});
