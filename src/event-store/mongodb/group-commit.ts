import { setImmediate as loopDrained, setTimeout as delay } from 'node:timers/promises';
import { streamKey } from '../../core/message.js';
import { asError, WarrenError } from '../../errors.js';
import { standstillMs } from '../../mongodb/abandoned-transactions.js';
import { failureOf, toStoreError } from '../../mongodb/errors.js';
import { within } from '../../mongodb/time-limit.js';
import type { AppendOutcome, Commit, StoredCommand } from '../event-store.js';
import type { AppendTransaction } from './append-transaction.js';
import { failCall, isOpen, makeCall, planBatch, settle, settleFound, type Waiting } from './batch.js';
import type { Contention } from './contention.js';
import { makeKnownVersions } from './known-versions.js';
import { lowestTails, type Tail } from './tails.js';

type Deps = {
  readonly appendTransaction: AppendTransaction;
  readonly headPosition: () => Promise<number>;
  /** Current version of the stream of each tail; `afterVersion` is where to look first. */
  readonly versionsOf: (tails: readonly Tail[]) => Promise<readonly number[]>;
  readonly findByCommand: (commandIds: readonly string[]) => Promise<ReadonlyMap<string, StoredCommand>>;
  /** Called when the head stands still; never fails. */
  readonly endAbandonedTransactions: () => Promise<void>;
  readonly contention: Contention;
  readonly onUnknownOutcome: () => void;
  readonly newId: () => string;
};

const batchEvents = 500;
/** A writer that loses races catches up by larger batches. */
const grownBatchEvents = 2_000;
const batchBytes = 4_000_000;
const giveUpAfterMs = 15_000;
const knownStreams = 20_000;
const longestTurnMs = 50;
/** Of what is read for an append. */
const readLimitMs = 5_000;

/**
 * Merges all that waits to be appended into one transaction, one at a time in this process. A batch goes off when the
 * event loop has drained, with no timer: while one is on its way the next gathers.
 *
 * The head is remembered from the own last commit, so the good way is outbox, insert, commit. After any failure the
 * truth is read back in one place, never guessed from the error: which index refused is not asked.
 */
export const makeGroupCommit = (deps: Deps) => {
  let queue: Waiting[] = [];
  let running: Promise<void> | null = null;
  let closed = false;
  /** Last position known to be committed by a majority; null: read it. */
  let head: number | null = null;
  /** The head that was tried last, and since when it is that. */
  let [triedHead, headMovedAt] = [-1, 0];
  const known = makeKnownVersions(knownStreams);

  /** How long a transaction takes of late: what other writers wait for. */
  let turnMs = 5;

  const readHead = (): Promise<number> => within(readLimitMs, deps.headPosition());

  /** Settles those whose fate is known. */
  const askStore = async (asked: readonly Waiting[]): Promise<null> => {
    // Mostly the expected version is right or one behind, so that only what is new is read.
    const tails = lowestTails(
      asked.map(({ key, commit }) => ({
        stream: commit.stream,
        afterVersion: Math.max(known.get(key) ?? 0, commit.expectedVersion) - 1,
      })),
    );
    const commandIds = asked.map(({ commit }) => commit.metadata.commandId);
    const versionsAndHead = Promise.all([deps.versionsOf([...tails.values()]), deps.headPosition()]);
    const [versions, headNow] = await within(readLimitMs, versionsAndHead);
    const commands = await within(readLimitMs, deps.findByCommand(commandIds));
    // What is remembered may be forgotten while this is learnt: the answer is made of what was read.
    const found = new Map([...tails.keys()].map((key, at) => [key, Math.max(versions[at] ?? 0, known.get(key) ?? 0)]));
    for (const { commit } of asked) {
      const last = commands.get(commit.metadata.commandId)?.events.at(-1);
      if (last) found.set(streamKey(last), Math.max(last.version, found.get(streamKey(last)) ?? 0));
    }
    found.forEach((version, key) => {
      known.learn(key, version);
    });
    head = headNow;
    settleFound(asked, { versions: found, commands });
    return null;
  };

  /** After a failed try: settles what it can. Throws when the store cannot be read either. */
  const recover = async (error: unknown, batch: readonly Waiting[]): Promise<void> => {
    switch (failureOf(error)) {
      case 'writeConflict':
      case 'transient':
        // Nothing is stored, and the other writer may not have committed yet: there is nothing to ask but, in the next
        // try, the head.
        head = null;
        return;
      case 'duplicateKey': {
        const headNow = await readHead();
        // Somebody else stored there: reason enough. A conflict among the commits, if there is one too, shows next time.
        if (headNow === head) await askStore(batch);
        head = null;
        return;
      }
      case 'unknownCommit':
        // It may even take effect after this read, if it could not be killed. Then it holds the position and the command
        // ids, so that the next try fails and comes here again.
        await askStore(batch);
        deps.onUnknownOutcome();
        return;
      case 'unavailable':
        await askStore(batch);
        return;
      case 'unusable':
        throw toStoreError(error, 'append events');
      case 'other': {
        head = null;
        const [only] = batch;
        if (batch.length === 1 && only) settle(only, { status: 'unstorable', error: asError(error) });
        else for (const waiting of batch) waiting.alone = true;
      }
    }
  };

  /** @returns why the batch was not stored; null: it was */
  const store = async (batch: readonly Waiting[]): Promise<unknown> => {
    head ??= await readHead();
    if (head !== triedHead) {
      triedHead = head;
      headMovedAt = performance.now();
    }
    try {
      const startedAt = performance.now();
      const recorded = await deps.appendTransaction(batch, head);
      head = recorded.at(-1)?.at(-1)?.position ?? head;
      deps.contention.tried(head);
      turnMs = (turnMs * 3 + Math.min(longestTurnMs, performance.now() - startedAt)) / 4;
      batch.forEach((waiting, at) => {
        const events = recorded[at] ?? [];
        const last = events.at(-1);
        if (last) known.set(waiting.key, last.version);
        settle(waiting, { status: 'appended', events });
      });
      return null;
    } catch (error) {
      deps.contention.tried(null);
      await recover(error, batch);
      return error;
    }
  };

  const run = async (): Promise<void> => {
    let failures = 0;
    let lostRaces = 0;
    /** Tries that the database did not take in time: a smaller batch may get through. */
    let unanswered = 0;
    let progressAt = 0;
    /** After a question only what was there then is planned, or new questions would hold up the answers for ever. */
    let horizon: number | null = null;
    for (;;) {
      await loopDrained();
      const hasWork = queue.some(isOpen);
      if (!hasWork) deps.contention.done();
      // What comes while we wait for our turn goes with it.
      else {
        const turn = await deps.contention.takeTurn(turnMs);
        if (turn.waited) head = turn.head;
      }
      const limits = {
        events: Math.min(grownBatchEvents, (batchEvents * (lostRaces + 1)) / 2 ** unanswered),
        bytes: batchBytes / 2 ** unanswered,
      };
      const planned: number = horizon ?? queue.length;
      const { ask, batch, rest } = planBatch(queue.slice(0, planned), limits, known.get);
      const tried = ask.length > 0 ? ask : batch;
      if (tried.length === 0) {
        queue = queue.slice(planned);
        horizon = null;
        if (queue.length === 0) return;
        continue;
      }
      if (failures === 0) progressAt = headMovedAt = performance.now();
      let cause: unknown;
      let canRead = true;
      try {
        cause = ask.length > 0 ? await askStore(ask) : await store(batch);
      } catch (error) {
        head = null;
        cause = error;
        canRead = false;
        if (failureOf(error) !== 'unavailable') for (const waiting of tried) failCall(waiting, error);
      }
      if (cause === null) {
        if (ask.length === 0) queue = [...rest, ...queue.slice(planned)];
        horizon = ask.length === 0 ? null : planned;
        failures = lostRaces = unanswered = 0;
        continue;
      }
      failures += 1;
      const failure = failureOf(cause);
      if (failure === 'writeConflict' || failure === 'duplicateKey') lostRaces += 1;
      else if (failure === 'unavailable' || failure === 'unknownCommit') unanswered = Math.min(unanswered + 1, 4);
      if (!tried.every(isOpen)) progressAt = performance.now();
      if (canRead && performance.now() - headMovedAt >= standstillMs) {
        await deps.endAbandonedTransactions();
        headMovedAt = performance.now();
      }
      if (performance.now() - progressAt >= giveUpAfterMs) {
        const message = `MongoDB stored nothing of ${tried.length} commits in ${giveUpAfterMs} ms: ${asError(cause).message}`;
        for (const waiting of tried) failCall(waiting, new WarrenError('STORE_UNAVAILABLE', message, { cause }));
        failures = 0;
      } else if (canRead) {
        deps.contention.lost(lostRaces);
        await delay(Math.random() * turnMs);
      } else await delay(Math.random() * Math.min(1_000, 50 * 2 ** failures));
    }
  };

  const start = (): void => {
    running ??= run()
      .catch((error: unknown) => {
        for (const waiting of queue) failCall(waiting, error);
        queue = [];
      })
      .finally(() => {
        running = null;
        if (queue.length > 0) start();
      });
  };

  return {
    append: (commits: readonly Commit[]): Promise<readonly AppendOutcome[]> => {
      if (closed)
        return Promise.reject(new WarrenError('STORE_UNAVAILABLE', 'The event store of this process is closed'));
      if (commits.length === 0) return Promise.resolve([]);
      return new Promise((resolve, reject) => {
        for (const waiting of makeCall(commits, deps.newId, { resolve, reject })) queue.push(waiting);
        start();
      });
    },
    /** Streams have these versions at least; saves asking for them at the next append. */
    learn: known.learn,
    /** Ends when all that was given is settled. */
    close: async (): Promise<void> => {
      closed = true;
      await running;
    },
  };
};
