import { expect } from 'chai';
import type { ChannelModel } from 'amqplib';
import { EventEmitter } from 'node:events';
import { makeRoundTrip, startProbe } from '../../../../src/messaging/rabbitmq/probe.js';
import { eventually } from '../../../helpers/eventually.js';

const never = new Promise<void>(() => undefined);

describe('probe', () => {
  const stops: (() => void)[] = [];
  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });

  const start = (given: { ask: () => Promise<void>; isBlocked?: () => boolean; bytesRead?: () => number }) => {
    const seen = { asked: 0, silences: 0 };
    const probe = startProbe({
      everyMs: 2,
      silenceMs: 30,
      isBlocked: () => false,
      bytesRead: () => 0,
      ...given,
      ask: () => {
        seen.asked += 1;
        return given.ask();
      },
      onSilence: () => (seen.silences += 1),
    });
    stops.push(() => {
      probe.stop();
    });
    return { seen, probe };
  };

  it('asks again and again, and is content with each answer, be it an error', async () => {
    const { seen } = start({ ask: () => Promise.reject(new Error('channel closed')) });
    await eventually(() => {
      expect(seen.asked).to.be.at.least(20);
    });
    expect(seen.silences).to.equal(0);
  });

  it('reports silence once, not before its time', async () => {
    const startedAt = performance.now();
    const { seen } = start({ ask: () => never });
    await eventually(() => {
      expect(seen.silences).to.equal(1);
    });
    expect(performance.now() - startedAt).to.be.at.least(29);
    const other = start({ ask: () => never });
    await eventually(() => {
      expect(other.seen.silences).to.equal(1);
    });
    expect(seen).to.deep.equal({ asked: 1, silences: 1 });
  });

  it('counts no time as silence in which the broker has said that it does not read', async () => {
    const until = performance.now() + 100;
    const { seen } = start({ ask: () => never, isBlocked: () => performance.now() < until });
    await eventually(() => {
      expect(seen.silences).to.equal(1);
    });
    expect(performance.now() - until).to.be.at.least(20);
  });

  it('waits longer while other bytes come in, and not for ever: the way to the broker alone may be cut', async () => {
    const startedAt = performance.now();
    const { seen } = start({ ask: () => never, bytesRead: () => performance.now() });
    await eventually(() => {
      expect(seen.silences).to.equal(1);
    });
    expect(performance.now() - startedAt).to.be.at.least(59);
  });

  it('does not take its own being busy for silence of the broker', async () => {
    let answer = (): void => undefined;
    const answers = [new Promise<void>((resolve) => (answer = resolve))];
    const { seen } = start({ ask: () => answers.pop() ?? never });
    // The question leaves only after it, and the answer needs its time.
    setImmediate(() => setTimeout(answer, 5));
    const busyUntil = performance.now() + 60;
    while (performance.now() < busyUntil);
    await eventually(() => {
      expect(seen.asked).to.equal(2);
    });
    expect(seen.silences).to.equal(0);
  });

  it('asks nothing after its stop', async () => {
    const stopped = start({ ask: () => Promise.resolve() });
    stopped.probe.stop();
    const { asked } = stopped.seen;
    const marker = start({ ask: () => Promise.resolve() });
    await eventually(() => {
      expect(marker.seen.asked).to.be.at.least(5);
    });
    expect(stopped.seen).to.deep.equal({ asked, silences: 0 });
  });

  it('opens its channel again when the broker has closed it, and survives the error', async () => {
    const channels: EventEmitter[] = [];
    const model = {
      createChannel: async () => {
        const channel = Object.assign(new EventEmitter(), { prefetch: async () => undefined });
        channels.push(channel);
        return channel;
      },
    } as unknown as ChannelModel;
    const ask = makeRoundTrip(model);
    await ask();
    await ask();
    expect(channels).to.have.length(1);
    channels[0]?.emit('error', new Error('406'));
    channels[0]?.emit('close');
    await ask();
    expect(channels).to.have.length(2);
  });
});
