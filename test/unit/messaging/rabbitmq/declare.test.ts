import { expect } from 'chai';
import { mismatchOf } from '../../../../src/messaging/rabbitmq/declare.js';

const refused = (text: string): Error =>
  new Error(`Operation failed: QueueDeclare; 406 (PRECONDITION-FAILED) with message "PRECONDITION_FAILED - ${text}"`);

describe('topology mismatch', () => {
  for (const [text, start] of [
    [
      "inequivalent arg 'x-delivery-limit' for queue 'q' in vhost '/': received '6' but current is '5'",
      'Queue q in vhost / has x-delivery-limit 5, wanted 6',
    ],
    [
      "inequivalent arg 'x-delivery-limit' for queue 'q' in vhost '/': received none but current is the value '5' of type 'byte'",
      'Queue q in vhost / has x-delivery-limit 5, wanted none',
    ],
    [
      "inequivalent arg 'x-queue-type' for queue 'commands' in vhost 't': received the value 'quorum' of type 'longstr' but current is none",
      'Queue commands in vhost t has x-queue-type none, wanted quorum',
    ],
    [
      "inequivalent arg 'type' for exchange 'events' in vhost 't': received 'topic' but current is 'fanout'",
      'Exchange events in vhost t has type fanout, wanted topic',
    ],
  ] as const) {
    it(`says: ${start}`, () => {
      const cause = refused(text);
      const error = mismatchOf(cause)?.error;
      expect(error).to.include({ code: 'TOPOLOGY', cause });
      expect(error?.message).to.satisfy((message: string) => message.startsWith(start));
    });
  }

  it('leaves other refusals alone', () => {
    expect(mismatchOf(new Error('Connection closed'))).to.equal(null);
  });
});
