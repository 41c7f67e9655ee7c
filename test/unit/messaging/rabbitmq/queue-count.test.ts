import { expect } from 'chai';
import { hasCode } from '../../../../src/errors.js';
import { makeCountOf } from '../../../../src/messaging/rabbitmq/queue-count.js';
import { fakeModel } from './fake-queue.js';

describe('counting a queue', () => {
  it('waits for the first connection, and refuses at once while one that was there is lost', async () => {
    const { model } = fakeModel(Array.from({ length: 3 }, () => Buffer.alloc(1)));
    let connected: (to: typeof model) => void = () => undefined;
    const up = new Promise<typeof model>((resolve) => (connected = resolve));
    let isUp = false;
    let waiters = 0;
    const countOf = makeCountOf({
      up: () => {
        waiters += 1;
        return isUp || waiters <= 2 ? up : new Promise(() => undefined);
      },
      isUp: () => isUp,
    });
    const first = countOf('q');
    isUp = true;
    connected(model);
    expect(await first).to.deep.equal({ messages: 3, consumers: 0 });
    isUp = false;
    const before = waiters;
    const error: unknown = await countOf('q').catch((thrown: unknown) => thrown);
    expect(hasCode(error, 'BROKER_UNAVAILABLE'), String(error)).to.equal(true);
    expect(waiters).to.equal(before);
  });
});
