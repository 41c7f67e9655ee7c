import { expect } from 'chai';
import { WarrenError } from '../../../src/errors.js';
import { makeLedger, type Claim, type Ledger } from '../../../src/notifications/ledger.js';
import { makeMemoryReadStore } from '../../../src/read-store/memory-read-store.js';
import type { ReadStore } from '../../../src/read-store/read-store.js';

const leaseMs = 5_000;
const start = new Date('2026-01-31T12:00:00.000Z').getTime();

type Entry = Parameters<Ledger['claim']>[0][number];

const entry = (id: string): Entry => ({ id, rule: 'welcome', recipient: 'ann@example.org', channel: 'log' });

/** Two ledgers on one read store, as two workers have them, and a clock. */
const setUp = (readStore: ReadStore = makeMemoryReadStore()) => {
  const clock = { ms: start };
  const now = (): Date => new Date(clock.ms);
  const [ledger, other] = [makeLedger({ readStore, now, leaseMs }), makeLedger({ readStore, now, leaseMs })];
  const stored = async (id: string) => (await readStore.read('notifications', [id])).get(id);
  return { ledger, other, clock, stored };
};

const claimedIn = (claim: Claim | undefined) => {
  if (claim?.status !== 'send') throw new Error(`expected a claim to send, got ${claim?.status ?? 'none'}`);
  return claim.claimed;
};

const statusesOf = (claims: readonly Claim[]): readonly string[] => claims.map(({ status }) => status);

describe('ledger of notifications', () => {
  it('gives each new entry to send, and writes it down as pending first', async () => {
    const { ledger, stored } = setUp();
    expect(statusesOf(await ledger.claim([entry('a'), entry('b')]))).to.deep.equal(['send', 'send']);
    const { leaseToken, ...document }: Record<string, unknown> = (await stored('a')) ?? {};
    expect(leaseToken).to.be.a('string');
    expect(document).to.deep.equal({
      _id: 'a',
      rule: 'welcome',
      channel: 'log',
      recipient: 'ann@example.org',
      status: 'pending',
      attempts: 1,
      sentAt: null,
      error: null,
      leaseUntil: new Date(start + leaseMs),
      version: 1,
    });
  });

  it('knows what was sent, whoever asks', async () => {
    const { ledger, other, clock, stored } = setUp();
    const [claim] = await ledger.claim([entry('a')]);
    clock.ms += 100;
    await ledger.note([{ claimed: claimedIn(claim), status: 'sent', error: null }]);
    expect(await stored('a')).to.include({ status: 'sent', attempts: 1, error: null });
    expect(await stored('a')).to.deep.include({ sentAt: new Date(start + 100) });
    expect(await stored('a')).not.to.have.property('leaseUntil');
    clock.ms += 10 * leaseMs;
    expect(statusesOf(await other.claim([entry('b'), entry('a'), entry('c')]))).to.deep.equal(['send', 'sent', 'send']);
  });

  it('gives an entry again to whoever claimed it and got no answer, and to no other before the lease is over', async () => {
    const store = makeMemoryReadStore();
    const answers = { lost: false };
    const losing: ReadStore = {
      ...store,
      write: async (batch) => {
        const outcome = await store.write(batch);
        if (answers.lost) throw new WarrenError('STORE_UNAVAILABLE', 'The answer was lost');
        return outcome;
      },
    };
    const { ledger, other } = setUp(losing);
    answers.lost = true;
    const failure: unknown = await ledger.claim([entry('a')]).catch((error: unknown) => error);
    expect(failure).to.include({ code: 'STORE_UNAVAILABLE' });
    answers.lost = false;
    expect(statusesOf(await other.claim([entry('a')]))).to.deep.equal(['busy']);
    expect(statusesOf(await ledger.claim([entry('a')]))).to.deep.equal(['send']);
    expect(statusesOf(await ledger.claim([entry('a')]))).to.deep.equal(['busy']);
  });

  it('is busy with an entry that another worker has, until the lease is over', async () => {
    const { ledger, other, clock, stored } = setUp();
    await ledger.claim([entry('a')]);
    clock.ms += leaseMs - 1;
    expect(statusesOf(await other.claim([entry('a'), entry('b')]))).to.deep.equal(['busy', 'send']);
    clock.ms += 1;
    expect(statusesOf(await other.claim([entry('a')]))).to.deep.equal(['send']);
    expect(await stored('a')).to.include({ attempts: 2, version: 2 });
  });

  it('gives a failed entry to send again at once, and counts', async () => {
    const { ledger, stored } = setUp();
    const [claim] = await ledger.claim([entry('a')]);
    await ledger.note([{ claimed: claimedIn(claim), status: 'failed', error: 'no such mailbox' }]);
    expect(await stored('a')).to.include({ status: 'failed', error: 'no such mailbox', sentAt: null });
    expect(statusesOf(await ledger.claim([entry('a')]))).to.deep.equal(['send']);
    expect(await stored('a')).to.include({ status: 'pending', attempts: 2, error: null });
  });

  it('gives an entry that was not tried to anybody at once, and counts no attempt', async () => {
    const { ledger, other, stored } = setUp();
    const [claim] = await ledger.claim([entry('a')]);
    await ledger.note([{ claimed: claimedIn(claim), status: 'pending', error: 'connection refused' }]);
    expect(await stored('a')).to.include({ status: 'pending', attempts: 0, error: 'connection refused', sentAt: null });
    expect(statusesOf(await other.claim([entry('a')]))).to.deep.equal(['send']);
    expect(await stored('a')).to.include({ status: 'pending', attempts: 1, error: null });
  });

  it('gives an entry to one of two that ask at the same time', async () => {
    const { ledger, other } = setUp();
    const claims = await Promise.all([ledger.claim([entry('a')]), other.claim([entry('a')])]);
    expect(statusesOf(claims.flat())).to.have.members(['send', 'busy']);
  });

  it('does not let who ran past the lease write over the one that took it', async () => {
    const { ledger, other, clock, stored } = setUp();
    const [late, inTime] = await ledger.claim([entry('a'), entry('b')]);
    clock.ms += leaseMs;
    const [taken] = await other.claim([entry('a')]);
    await ledger.note([
      { claimed: claimedIn(late), status: 'failed', error: 'too late' },
      { claimed: claimedIn(inTime), status: 'sent', error: null },
    ]);
    expect(await stored('a')).to.include({ status: 'pending', attempts: 2 });
    expect(await stored('b')).to.include({ status: 'sent' });
    await other.note([{ claimed: claimedIn(taken), status: 'sent', error: null }]);
    expect(await stored('a')).to.include({ status: 'sent' });
  });

  it('notes once, also when told twice', async () => {
    const { ledger, clock, stored } = setUp();
    const [a, b] = await ledger.claim([entry('a'), entry('b')]);
    await ledger.note([{ claimed: claimedIn(a), status: 'sent', error: null }]);
    clock.ms += 1;
    await ledger.note([
      { claimed: claimedIn(a), status: 'sent', error: null },
      { claimed: claimedIn(b), status: 'sent', error: null },
    ]);
    expect(await stored('a')).to.deep.include({ version: 2, sentAt: new Date(start) });
    expect(await stored('b')).to.include({ status: 'sent' });
  });

  it('looks nothing up for new entries', async () => {
    const readStore = makeMemoryReadStore();
    const read: ReadStore['read'] = () => Promise.reject(new Error('looked up'));
    const { ledger } = setUp({ ...readStore, read });
    expect(statusesOf(await ledger.claim([entry('a')]))).to.deep.equal(['send']);
  });

  it('claims nothing for no entries', async () => {
    expect(await setUp().ledger.claim([])).to.deep.equal([]);
  });
});
