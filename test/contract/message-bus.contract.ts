import { describeConsuming } from './message-bus-consuming.js';
import { describeDeclaring } from './message-bus-declaring.js';
import { makeBusTest, type OpenedMessageBus } from './message-bus-fixtures.js';
import { describeListening } from './message-bus-listening.js';
import { describePublishing } from './message-bus-publishing.js';
import { describeRequests } from './message-bus-requests.js';
import { describeSessions } from './message-bus-sessions.js';
import { describeSettling } from './message-bus-settling.js';
import { describeStopping } from './message-bus-stopping.js';

/**
 * The promises of the message bus's port, for one adapter.
 * @param open gives each test buses made with `retryDelaysMs` of the fixtures; the broker may be the same for all
 * @param patienceMs how long a test waits for messages, retries included
 */
export const messageBusContract = (name: string, open: () => Promise<OpenedMessageBus>, patienceMs = 10_000): void => {
  describe(`message bus: ${name}`, () => {
    let test: ReturnType<typeof makeBusTest>;
    beforeEach(async () => {
      test = makeBusTest(await open(), patienceMs);
    });
    afterEach(() => test.close());

    describeDeclaring(() => test);
    describePublishing(() => test);
    describeConsuming(() => test);
    describeSettling(() => test);
    describeStopping(() => test);
    describeRequests(() => test);
    describeListening(() => test);
    describeSessions(() => test);
  });
};
