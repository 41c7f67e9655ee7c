import { expect } from 'chai';
import { listParked } from '../../../../src/operations/parked/list.js';
import { showParked } from '../../../../src/operations/parked/show.js';
import { makeParked, parkedMessage, renaming } from './parked-fixture.js';

const at = (time: string) => ({ headers: { 'parked-at': time } });

/** As the broker leaves a message that came too often; the sender wrote headers of ours. */
const deadLetter = {
  exchange: '',
  routingKey: 'commands.parked',
  body: Buffer.from('{"aggregateId":"u-1"}'),
  properties: {
    headers: {
      'parked-reason': 'FORGED',
      'parked-id': 'forged',
      'x-death': [
        { reason: 'expired', queue: 'retry.1s', exchange: 'retry.1s', 'routing-keys': ['commands'] },
        {
          reason: 'delivery_limit',
          queue: 'commands',
          exchange: 'commands',
          'routing-keys': ['user.create'],
          time: { '!': 'timestamp', value: 1_769_860_800 },
        },
      ],
    },
  },
  mandatory: true,
} as const;

describe('listParked', () => {
  it('groups by reason and type, with counts, first and last', async () => {
    const { deps } = await makeParked([
      parkedMessage('k-1', renaming('c-1', 'A'), at('2026-01-31T12:00:02.000Z')),
      parkedMessage('k-2', renaming('c-2', 'A'), at('2026-01-31T12:00:01.000Z')),
      parkedMessage('k-3', renaming('c-3', 'A'), { type: 'user.rename', ...at('2026-01-31T12:00:03.000Z') }),
      parkedMessage('k-4', Buffer.from('no json'), { reason: 'INVALID_JSON', ...at('never') }),
      parkedMessage('k-5', renaming('c-5', 'A'), at('2026-01-31T12:00:05.000Z')),
    ]);
    const group = { reason: 'SCHEMA', type: 'user.update', count: 3 };
    expect(await listParked(deps, { queue: 'commands' })).to.deep.equal([
      {
        queue: 'commands.parked',
        groups: [
          { ...group, first: new Date('2026-01-31T12:00:01Z'), last: new Date('2026-01-31T12:00:05Z') },
          {
            ...group,
            type: 'user.rename',
            count: 1,
            first: new Date('2026-01-31T12:00:03Z'),
            last: new Date('2026-01-31T12:00:03Z'),
          },
          { reason: 'INVALID_JSON', type: null, count: 1, first: null, last: null },
        ],
      },
    ]);
  });

  it('shows each queue that has something, and one that another operator has in hand as such', async () => {
    const { deps, bus } = await makeParked([
      parkedMessage('k-1', {}),
      parkedMessage('k-2', {}, { queue: 'projections.users' }),
    ]);
    const session = await bus.openQueue('commands.parked');
    const found = await listParked(deps, {});
    expect(found.map(({ queue, groups }) => [queue, groups?.length])).to.deep.equal([
      ['commands.parked', undefined],
      ['projections.users.parked', 1],
    ]);
    await session.close();
  });

  it("says of the broker's dead letters why and when, and believes nothing that their sender wrote", async () => {
    const { deps } = await makeParked([deadLetter]);
    const [found] = await listParked(deps, {});
    const died = new Date(1_769_860_800_000);
    expect(found?.groups).to.deep.equal([
      { reason: 'DELIVERY_LIMIT', type: 'user.create', count: 1, first: died, last: died },
    ]);
  });
});

describe('showParked', () => {
  it('shows the first that are asked for, without what they say unless that is asked for too', async () => {
    const messages = [1, 2, 3].map((n) => parkedMessage(`k-${n}`, renaming(`c-${n}`, 'A'), { messageId: `c-${n}` }));
    const { deps, idsIn } = await makeParked(messages);
    const [first, second, ...others] = await showParked(deps, { queue: 'commands', limit: 2 });
    expect([first?.key, second?.key, others]).to.deep.equal(['k-1', 'k-2', []]);
    expect(first).to.include({ messageId: 'c-1', reason: 'SCHEMA', error: 'it was wrong', attempts: 2, bytes: 76 });
    expect(first).not.to.have.any.keys('body', 'bodyBase64');
    const [shown] = await showParked(deps, { queue: 'commands', ids: ['c-3'], body: true });
    expect(JSON.parse(shown?.body ?? '')).to.deep.equal(renaming('c-3', 'A'));
    expect(await idsIn('commands.parked')).to.deep.equal(['c-1', 'c-2', 'c-3']);
  });

  it('names a message of the broker by its content, the same at each look, and shows other bytes as base64', async () => {
    const { deps } = await makeParked([{ ...deadLetter, body: Buffer.from([0xff, 0x00]) }]);
    const [first] = await showParked(deps, { queue: 'commands', body: true });
    const [again] = await showParked(deps, { queue: 'commands', ids: [first?.key ?? ''] });
    expect(again?.key).to.match(/^[0-9a-f]{32}$/);
    expect(first).to.include({ key: again?.key, bodyBase64: '/wA=' });
  });
});
