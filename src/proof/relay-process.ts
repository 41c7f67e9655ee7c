import { once } from 'node:events';
import { makePatience } from '../workers/patience.js';
import { makeRelay } from '../workers/relay.js';
import type { ChildContext } from './child-context.js';
import { makeRecordingBus } from './recording-bus.js';

/** When a relay takes over what a writer does not keep. */
export const olderThanMs = 1_000;

/** The real relay, over the recording bus. Ends with what it has in hand when it drains. */
export const runRelay = async ({ eventStore, history, random, log, draining, ready }: ChildContext): Promise<void> => {
  const relay = makeRelay({
    eventStore,
    bus: makeRecordingBus(history, random),
    settings: { everyMs: 200, olderThanMs },
    patience: makePatience({ log, signal: draining }),
    telemetry: { eventsRelayed: () => undefined },
    log,
  });
  ready();
  // It may have been told before it was there.
  if (!draining.aborted) await once(draining, 'abort');
  await relay.stop();
};
