import { expect } from 'chai';
import type { Command, RecordedEvent } from '../../../src/core/message.js';
import { acceptedReply, conflictReply, rejectedReply } from '../../../src/core/reply.js';

const command: Command = { id: 'c-1', type: 'user.create', aggregateId: 'u-1', payload: {}, metadata: {} };
const recordedAt = (version: number): RecordedEvent => ({
  id: `e-${version}`,
  type: 'user.created',
  payload: { secret: true },
  aggregateType: 'user',
  aggregateId: 'u-1',
  version,
  position: version + 10,
  schemaVersion: 1,
  metadata: { commandId: 'c-1', correlationId: 'c-1', causationId: 'c-1' },
  timestamp: new Date(0),
});

describe('reply', () => {
  it('accepted: names the events without their payloads, and the version after the last', () => {
    expect(acceptedReply(command, [recordedAt(3), recordedAt(4)], 0)).to.deep.equal({
      commandId: 'c-1',
      status: 'accepted',
      aggregateId: 'u-1',
      version: 4,
      events: [
        { id: 'e-3', type: 'user.created', version: 3, position: 13 },
        { id: 'e-4', type: 'user.created', version: 4, position: 14 },
      ],
    });
  });

  it('accepted without events: the version that was found', () => {
    expect(acceptedReply(command, [], 7)).to.deep.include({ version: 7, events: [] });
  });

  it('rejected: the code and message of the rule, and nothing else of its decision', () => {
    const decision = { accepted: false, code: 'NO', message: 'No way' };
    expect(rejectedReply(command, 2, decision)).to.deep.equal({
      commandId: 'c-1',
      status: 'rejected',
      aggregateId: 'u-1',
      version: 2,
      error: { code: 'NO', message: 'No way' },
    });
  });

  it('conflict: says the version expected and the one there is', () => {
    const reply = conflictReply({ ...command, expectedVersion: 0 }, 5);
    expect(reply).to.include({ status: 'conflict', version: 5 });
    expect(reply.status === 'conflict' && reply.error).to.include({ code: 'VERSION_CONFLICT' });
    expect(reply.status === 'conflict' && reply.error.message).to.match(/version 0 of u-1.* at 5/);
  });
});
