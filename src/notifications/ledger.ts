import type { ReadStore, StoredDocument } from '../read-store/read-store.js';
import type { Channel, Notification } from './channel.js';

export const ledgerCollection = 'notifications';

/** `send`: it is ours to send now; `sent`: it was sent before; `busy`: another worker is at it, look again later. */
export type Claim = 'send' | 'sent' | 'busy';

type Entry = Pick<Notification, 'id' | 'rule' | 'recipient'> & { readonly channel: Channel['name'] };

export type SendResult = { readonly id: string; readonly error: string | null };

/**
 * What was sent, one document a rule and event: a redelivered, replayed or twice published event finds its entry and
 * is not sent again. An entry is claimed before the send and noted after it. A kill between the two leaves it
 * `pending`: when its lease is over it is sent again, with the same id, since nobody can know whether the first got out.
 */
export type Ledger = {
  open(): Promise<void>;
  /** One claim an entry, same order. @throws WarrenError STORE_UNAVAILABLE */
  claim(entries: readonly Entry[]): Promise<readonly Claim[]>;
  /** Notes how the sends went; only for entries claimed with `send`. */
  note(results: readonly SendResult[]): Promise<void>;
};

const claimOf = (found: StoredDocument | undefined, now: Date): Claim => {
  if (!found) return 'send';
  if (found['status'] === 'sent') return 'sent';
  const leaseUntil = found['leaseUntil'];
  return found['status'] === 'pending' && leaseUntil instanceof Date && leaseUntil > now ? 'busy' : 'send';
};

/** `version` counts the changes of an entry: who read an older one does not write over it. */
export const makeLedger = (deps: {
  readonly readStore: ReadStore;
  readonly now: () => Date;
  readonly leaseMs: number;
}): Ledger => {
  const { readStore, now, leaseMs } = deps;

  const change = async (
    ids: readonly string[],
    changed: (found: StoredDocument | undefined, id: string) => Readonly<Record<string, unknown>> | null,
  ): Promise<void> => {
    for (;;) {
      const stored = await readStore.read(ledgerCollection, ids);
      const documents = ids.flatMap((id) => {
        const found = stored.get(id);
        const fields = changed(found, id);
        if (!fields) return [];
        const document = { ...fields, _id: id, version: (found?.version ?? 0) + 1 };
        return [{ collection: ledgerCollection, document, onlyIf: found?.version ?? ('absent' as const) }];
      });
      if (documents.length === 0 || (await readStore.write({ documents })) === 'written') return;
    }
  };

  return {
    open: () => readStore.prepare(ledgerCollection, []),
    claim: async (entries) => {
      const byId = new Map(entries.map((entry) => [entry.id, entry]));
      const claims = new Map<string, Claim>();
      await change([...byId.keys()], (found, id) => {
        const claim = claimOf(found, now());
        claims.set(id, claim);
        const entry = byId.get(id);
        if (claim !== 'send' || !entry) return null;
        const { rule, channel, recipient } = entry;
        const attempts = (typeof found?.['attempts'] === 'number' ? found['attempts'] : 0) + 1;
        const leaseUntil = new Date(now().getTime() + leaseMs);
        return { rule, channel, recipient, status: 'pending', attempts, sentAt: null, error: null, leaseUntil };
      });
      return entries.map(({ id }) => claims.get(id) ?? 'busy');
    },
    note: async (results) => {
      const byId = new Map(results.map((result) => [result.id, result]));
      await change([...byId.keys()], (found, id) => {
        if (!found) return null;
        const { _id, version, leaseUntil, ...fields } = found;
        const error = byId.get(id)?.error ?? null;
        return { ...fields, status: error === null ? 'sent' : 'failed', sentAt: error === null ? now() : null, error };
      });
    },
  };
};
