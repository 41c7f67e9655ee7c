import { randomUUID } from 'node:crypto';
import type { DocumentWrite, ReadStore, StoredDocument } from '../read-store/read-store.js';
import type { Channel, Notification } from './channel.js';

const ledgerCollection = 'notifications';

type LedgerEntry = Pick<Notification, 'id' | 'rule' | 'recipient'> & { readonly channel: Channel['name'] };

/** `send`: it is ours to send now; `sent`: it was sent before; `busy`: another worker is at it, look again later. */
export type Claim =
  { readonly status: 'send'; readonly claimed: StoredDocument } | { readonly status: 'sent' | 'busy' };

/** How the send of a claimed entry went; `pending`: it was not tried, anybody may claim it. */
export type SendResult = {
  readonly claimed: StoredDocument;
  readonly status: 'sent' | 'failed' | 'pending';
  readonly error: string | null;
};

/**
 * What was sent, one document a rule and event: a redelivered, replayed or twice published event finds its entry and
 * is not sent again. An entry is claimed before the send and noted after it. A kill between the two leaves it
 * `pending`: when its lease is over it is sent again, with the same id, since nobody can know whether the first got out.
 */
export type Ledger = {
  open(): Promise<void>;
  /** One claim an entry, same order; no id twice. @throws WarrenError STORE_UNAVAILABLE: ask again */
  claim(entries: readonly LedgerEntry[]): Promise<readonly Claim[]>;
  /** @throws WarrenError STORE_UNAVAILABLE: safe to repeat */
  note(results: readonly SendResult[]): Promise<void>;
};

/** `version` counts the changes of an entry: who knows an older one does not write over it. */
const writeOf = (document: StoredDocument, before: StoredDocument | undefined): DocumentWrite => ({
  collection: ledgerCollection,
  document: { ...document, version: (before?.version ?? 0) + 1 },
  onlyIf: before?.version ?? 'absent',
});

const attemptsOf = (found: StoredDocument | undefined): number =>
  typeof found?.['attempts'] === 'number' ? found['attempts'] : 0;

export const makeLedger = (deps: {
  readonly readStore: ReadStore;
  readonly now: () => Date;
  readonly leaseMs: number;
}): Ledger => {
  const { readStore, now, leaseMs } = deps;
  /** Tokens of our claims that failed and may be stored all the same, with the end of their lease in ms. */
  const unsure = new Map<string, number>();

  /** Our own claim whose answer was lost holds nobody up: nothing was sent on it. */
  const isLeased = (found: StoredDocument): boolean =>
    found['status'] === 'pending' &&
    found['leaseUntil'] instanceof Date &&
    found['leaseUntil'] > now() &&
    !unsure.has(String(found['leaseToken']));

  const claimOne = (
    { id, rule, channel, recipient }: LedgerEntry,
    found: StoredDocument | undefined,
    leaseToken: string,
  ) => {
    if (found?.['status'] === 'sent') return { claim: { status: 'sent' } } as const;
    if (found && isLeased(found)) return { claim: { status: 'busy' } } as const;
    const leaseUntil = new Date(now().getTime() + leaseMs);
    const fields = {
      rule,
      channel,
      recipient,
      status: 'pending',
      attempts: attemptsOf(found) + 1,
      sentAt: null,
      error: null,
    };
    const write = writeOf({ _id: id, ...fields, leaseUntil, leaseToken }, found);
    return { claim: { status: 'send', claimed: write.document }, write } as const;
  };

  const claimAll = async (entries: readonly LedgerEntry[], found: ReadonlyMap<string, StoredDocument>) => {
    const leaseToken = randomUUID();
    const claimed = entries.map((entry) => claimOne(entry, found.get(entry.id), leaseToken));
    const documents = claimed.flatMap(({ write }) => write ?? []);
    try {
      const outcome = documents.length === 0 ? 'written' : await readStore.write({ documents });
      return outcome === 'written' ? claimed.map(({ claim }) => claim) : null;
    } catch (error) {
      for (const [token, endsAt] of unsure) if (endsAt <= now().getTime()) unsure.delete(token);
      unsure.set(leaseToken, now().getTime() + leaseMs);
      throw error;
    }
  };

  return {
    open: () => readStore.prepare(ledgerCollection, []),
    claim: async (entries) => {
      // Nearly always nothing is there yet, so it is looked up only if that turns out wrong.
      let claims = await claimAll(entries, new Map());
      while (!claims)
        claims = await claimAll(
          entries,
          await readStore.read(
            ledgerCollection,
            entries.map(({ id }) => id),
          ),
        );
      return claims;
    },
    note: async (results) => {
      const documents = results.map(({ claimed, status, error }) => {
        const { leaseUntil, leaseToken, ...fields } = claimed;
        const attempts = attemptsOf(claimed) - (status === 'pending' ? 1 : 0);
        return writeOf({ ...fields, status, attempts, sentAt: status === 'sent' ? now() : null, error }, claimed);
      });
      if ((await readStore.write({ documents })) === 'written') return;
      // Noted before (this is a repetition), or one ran past its lease and another worker took it: the others count.
      for (const write of documents) await readStore.write({ documents: [write] });
    },
  };
};
