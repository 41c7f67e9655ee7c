import { expect } from 'chai';
import { makeLogger } from '../../../../src/logger.js';
import { makeConnect } from '../../../../src/messaging/rabbitmq/connect.js';
import { eventually } from '../../../helpers/eventually.js';
import { channelClose, connectionClose, makeFakeBroker } from './fake-broker.js';

const connectWith = (limits: { readonly connectLimitMs?: number; readonly leastSilenceMs?: number } = {}) =>
  makeConnect({ connectionName: 'test', tls: {}, probeEveryMs: 10, log: makeLogger('silent'), ...limits });

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(() => 'no failure').catch((e: unknown) => e);

describe('connecting to RabbitMQ', () => {
  let broker: Awaited<ReturnType<typeof makeFakeBroker>>;
  const closing = new AbortController();
  const connect = (limits?: Parameters<typeof connectWith>[0], signal = closing.signal) =>
    connectWith(limits)(broker.host, signal, () => undefined);
  afterEach(() => broker.close());

  it('gives a host up that accepts and says nothing, in its time, and leaves no socket', async () => {
    broker = await makeFakeBroker({ isSilent: true });
    const startedAt = performance.now();
    expect(await failureOf(connect({ connectLimitMs: 50 }))).to.have.property('message', 'no answer within 50 ms');
    expect(performance.now() - startedAt).to.be.below(1000);
    await eventually(() => {
      expect(broker.connections()).to.equal(0);
    });
  });

  it('gives up at once when it is told to', async () => {
    broker = await makeFakeBroker({ isSilent: true });
    const giveUp = new AbortController();
    const failure = failureOf(connect({}, giveUp.signal));
    await eventually(() => {
      expect(broker.connections()).to.equal(1);
    });
    const startedAt = performance.now();
    giveUp.abort();
    expect(await failure).to.be.instanceOf(Error);
    expect(performance.now() - startedAt).to.be.below(1000);
    await eventually(() => {
      expect(broker.connections()).to.equal(0);
    });
  });

  for (const [title, code] of [
    ['was closed by an operator', 320],
    ['failed', 541],
  ] as const) {
    it(`gives no connection out that ${title} before anybody could listen to it, and survives`, async () => {
      broker = await makeFakeBroker({ toOpenOk: () => connectionClose(code) });
      expect(await failureOf(connect({ connectLimitMs: 500 }))).to.be.instanceOf(Error);
    });
  }

  it('survives the end of a channel that comes with its beginning: that channel is lost, nothing else', async () => {
    // The first channel is that of the probe, which shows that the connection works.
    broker = await makeFakeBroker({
      toChannelOpenOk: (channel) => (channel === 1 ? Buffer.alloc(0) : channelClose(channel, 406)),
    });
    const open = await connect();
    const { model, gone } = open;
    let ended = false;
    void gone.then(() => (ended = true));
    const channel = await model.createChannel();
    const used = await failureOf(channel.prefetch(1));
    expect(used).to.be.instanceOf(Error);
    expect(ended).to.equal(false);
    open.destroy(new Error('done'));
    expect((await gone).message).to.equal('done');
  });

  it('ends a connection whose broker falls silent, with that reason', async () => {
    broker = await makeFakeBroker({});
    const { gone } = await connect({ leastSilenceMs: 40 });
    broker.fallSilent();
    expect((await gone).message).to.equal('it does not answer any more');
    await eventually(() => {
      expect(broker.connections()).to.equal(0);
    });
  });
});
