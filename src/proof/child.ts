import { asError } from '../errors.js';
import { makeLogger } from '../logger.js';
import type { ChildContext } from './child-context.js';
import { runFollower } from './follower.js';
import { makeHistory } from './history.js';
import { makeIds } from './ids.js';
import type { MakeProofStore } from './proof-store.js';
import type { ChildRole, ChildSettings, FromChild, ToChild } from './protocol.js';
import { makeRandom } from './random.js';
import { runRangeReader } from './range-reader.js';
import { runRelay } from './relay-process.js';
import { runWriter } from './writer.js';

const works: Readonly<Record<ChildRole, (context: ChildContext) => Promise<void>>> = {
  writer: runWriter,
  relay: runRelay,
  follower: runFollower,
  reader: runRangeReader,
};

const progressEveryMs = 250;
/** A process that goes wrong may do so with every event. */
const mostViolations = 10;

const tell = (message: FromChild): void => {
  process.send?.(message);
};

const run = async (
  settings: ChildSettings,
  makeStore: MakeProofStore,
  drain: { signal: AbortSignal; head: () => number },
) => {
  const { mongodbUrl, database, role, index, seed } = settings;
  const history = makeHistory(settings.historyPath);
  const store = makeStore({
    mongodbUrl,
    database,
    name: `proof-${role}-${index}`,
    newId: makeIds(settings.process),
    onUnknownOutcome: () => {
      history.note({ do: 'unknownOutcome' });
    },
  });
  let [commits, position, violations] = [0, settings.afterPosition, 0];
  const timer = setInterval(() => {
    tell({ kind: 'progress', commits, position });
  }, progressEveryMs);
  // Also when it shall end: what a killed predecessor left is for it to resolve.
  await store.connect();
  await works[role]({
    settings,
    eventStore: store.eventStore,
    history,
    // Who comes after a killed one does not do the same again.
    random: makeRandom(seed, `${role}/${index}/${settings.generation}`),
    log: makeLogger('silent'),
    newCommandId: makeIds(settings.process),
    draining: drain.signal,
    headPosition: drain.head,
    ready: () => {
      tell({ kind: 'ready' });
    },
    progress: (made) => {
      ({ commits = commits, position = position } = made);
    },
    violated: (guarantee, text) => {
      violations += 1;
      if (violations > mostViolations) return;
      history.note({
        do: 'violation',
        violation: { guarantee, text: `${role}-${index}#${settings.process}: ${text}` },
      });
      tell({ kind: 'violation' });
    },
  });
  clearInterval(timer);
  await store.close();
  history.close();
};

/**
 * Entry of a child process of the suite, started by `runProof` with an IPC channel; `args` are what it appended to
 * `command`, for people who look at the list of processes. Ends the process when its work is done or the supervisor is
 * gone. `makeStore` lets tests plant defects.
 */
export const runProofChild = (_args: readonly string[], deps: { readonly makeStore: MakeProofStore }): Promise<void> =>
  new Promise((resolve, reject) => {
    if (!process.connected) {
      reject(new Error('This process belongs to verify-store and is started by it'));
      return;
    }
    const draining = new AbortController();
    let head = 0;
    // However the supervisor died, its end of the channel is closed then.
    process.on('disconnect', () => process.exit(1));
    // Ctrl-C reaches the whole group, and so does who ends it; the supervisor says what to do.
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined);
    process.on('message', (message: ToChild) => {
      switch (message.kind) {
        case 'start':
          run(message.settings, deps.makeStore, { signal: draining.signal, head: () => head }).then(
            resolve,
            (error: unknown) => {
              reject(asError(error));
            },
          );
          break;
        case 'drain':
          head = message.headPosition;
          draining.abort();
      }
    });
  }).then(() => {
    // Not before: a closed channel is how the supervisor would think it dead.
    process.removeAllListeners('disconnect');
    process.disconnect();
  });
