import type { Channel, ChannelModel } from 'amqplib';
import { expect } from 'chai';
import { EventEmitter } from 'node:events';
import { keepChannel, type ChannelLoop } from '../../../../src/messaging/rabbitmq/channel-loop.js';
import type { BrokerConnection } from '../../../../src/messaging/rabbitmq/connection.js';
import { eventually } from '../../../helpers/eventually.js';
import { makeRecordingLog } from '../../../helpers/recording-log.js';

type FakeChannel = EventEmitter & { close(): Promise<void> };

describe('RabbitMQ channel loop', () => {
  const loops: ChannelLoop[] = [];
  afterEach(() => Promise.all(loops.splice(0).map((loop) => loop.close())));

  const start = (onStart: (channel: FakeChannel) => void = () => undefined) => {
    const { log, lines } = makeRecordingLog();
    const channels: FakeChannel[] = [];
    const lost: unknown[] = [];
    const connection = {
      up: async () => new EventEmitter() as ChannelModel,
      isUp: () => true,
    } as unknown as BrokerConnection;
    const loop = keepChannel<Channel>({
      connection,
      log,
      open: async () => {
        const channel: FakeChannel = Object.assign(new EventEmitter(), {
          close: async () => {
            channel.emit('close');
          },
        });
        channels.push(channel);
        return channel as unknown as Channel;
      },
      start: async (channel) => {
        onStart(channel);
      },
      lost: (channel) => lost.push(channel),
    });
    loops.push(loop);
    return { loop, channels, lost, lines };
  };

  const breakDown = (channel: FakeChannel): void => {
    channel.emit('error', new Error('406'));
    channel.emit('close');
  };

  it('backs off from a channel that opens and dies at once, again and again, and says it once', async () => {
    const startedAt = performance.now();
    const { channels, lost, lines } = start((channel) => setImmediate(breakDown, channel));
    await eventually(() => {
      expect(channels).to.have.length(4);
    });
    // 100, 200 and 400 ms, half of it by chance and twice as long from the second failure on; it was 50 to 100 each.
    expect(performance.now() - startedAt).to.be.at.least(650);
    expect(lost).to.deep.equal(channels.slice(0, lost.length));
    expect(lines).to.deep.equal(['warn: channel lost, opening it again']);
  });

  it('opens another channel when it is told to, and loses the first one once', async () => {
    const { loop, channels, lost } = start();
    await eventually(() => {
      expect(channels).to.have.length(1);
    });
    loop.reopen();
    await eventually(() => {
      expect(channels).to.have.length(2);
    });
    expect(lost).to.deep.equal([channels[0]]);
  });

  it('survives errors of a channel that nobody else listens to', async () => {
    const { channels, lines } = start();
    await eventually(() => {
      expect(channels[0]?.listenerCount('close')).to.equal(1);
    });
    channels[0]?.emit('handler-error', new Error('a listener threw'));
    expect(lines).to.deep.equal(['error: a channel listener failed']);
    for (const event of ['error', 'handler-error', 'close']) expect(channels[0]?.listenerCount(event)).to.equal(1);
  });
});
