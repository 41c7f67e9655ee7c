import { expect } from 'chai';
import { makeLogger } from '../../../../src/logger.js';
import type { ConsumerHealth } from '../../../../src/messaging/message-bus.js';
import { startWatchdog, type Look } from '../../../../src/messaging/rabbitmq/watchdog.js';
import { eventually } from '../../../helpers/eventually.js';

type Given = {
  readonly look: Look | null;
  readonly state?: ConsumerHealth['state'];
  readonly single?: boolean;
  readonly handling?: boolean;
  readonly busy?: boolean;
};

describe('watchdog of consumers', () => {
  /** How often the consumer was made to consume again in 20 looks. */
  const reopenedIn20Looks = async ({
    look,
    state = 'consuming',
    single = false,
    handling = false,
    busy = false,
  }: Given) => {
    let [looks, reopened, batches] = [0, 0, 0];
    const watched = {
      queue: 'q',
      isSingleActive: () => single,
      state: () => state,
      batches: () => (busy ? batches++ : 0),
      isHandling: () => handling,
      reopen: () => (reopened += 1),
    };
    const watchdog = startWatchdog({
      consumers: () => [watched],
      look: async () => {
        looks += 1;
        return look;
      },
      everyMs: 1,
      log: makeLogger('silent'),
    });
    await eventually(() => {
      expect(looks).to.be.at.least(20);
    });
    watchdog.stop();
    return reopened;
  };

  for (const [title, given] of [
    ['the queue has no consumer', { look: { messages: 0, consumers: 0 } }],
    ['the queue has none, single active', { look: { messages: 0, consumers: 0 }, single: true }],
    ['it is paused and the queue has none', { look: { messages: 5, consumers: 0 }, state: 'paused', handling: true }],
    ['messages wait, and it gets none', { look: { messages: 5, consumers: 2 } }],
  ] satisfies readonly (readonly [string, Given])[]) {
    it(`makes it consume again when ${title}`, async () => {
      expect(await reopenedIn20Looks({ ...given })).to.be.at.least(3);
    });
  }

  for (const [title, given] of [
    ['nothing waits', { look: { messages: 0, consumers: 1 } }],
    ['it is the standby of a single active one', { look: { messages: 5, consumers: 1 }, single: true }],
    ['a batch is in hand', { look: { messages: 5, consumers: 1 }, handling: true }],
    ['it gets batches', { look: { messages: 5, consumers: 1 }, busy: true }],
    ['it is paused', { look: { messages: 5, consumers: 1 }, state: 'paused' }],
    ['it consumes from nowhere yet', { look: { messages: 5, consumers: 0 }, state: 'recovering' }],
    ['it is stopped', { look: { messages: 5, consumers: 0 }, state: 'stopped' }],
    ['there is no such queue', { look: null }],
  ] satisfies readonly (readonly [string, Given])[]) {
    it(`leaves it alone when ${title}`, async () => {
      expect(await reopenedIn20Looks({ ...given })).to.equal(0);
    });
  }

  it('goes on after a look that failed', async () => {
    let looks = 0;
    const watchdog = startWatchdog({
      consumers: () => [
        {
          queue: 'q',
          isSingleActive: () => false,
          state: () => 'consuming',
          batches: () => 0,
          isHandling: () => false,
          reopen: () => undefined,
        },
      ],
      look: () => {
        looks += 1;
        return Promise.reject(new Error('connection closed'));
      },
      everyMs: 1,
      log: makeLogger('silent'),
    });
    await eventually(() => {
      expect(looks).to.be.at.least(3);
    });
    watchdog.stop();
  });
});
