import type { Channel, ChannelModel } from 'amqplib';

export type ProbeDeps = {
  /** One round trip; how it ends says nothing, that it ends says that the broker is there. */
  readonly ask: () => Promise<void>;
  readonly everyMs: number;
  /** The longest silence. */
  readonly silenceMs: number;
  /** Has the broker said that it will not read from us for now? */
  readonly isBlocked: () => boolean;
  /** What came in so far: behind large messages an answer may be late, and the broker is there. */
  readonly bytesRead: () => number;
  readonly onSilence: () => void;
};

export type Probe = { stop(): void };

/**
 * The cheapest question on a channel of its own: it needs no right and changes nothing that matters. The channel is
 * opened again should the broker close it.
 */
export const makeRoundTrip = (model: ChannelModel): (() => Promise<void>) => {
  let channel: Channel | null = null;
  return async () => {
    if (!channel) {
      const opened = await model.createChannel();
      opened.on('error', () => undefined);
      opened.once('close', () => (channel = null));
      channel = opened;
    }
    await channel.prefetch(1);
  };
};

/** A process that was busy, or asleep, for all of the silence has heard nothing in one slice of it only. */
const slices = 4;

/**
 * Asks again and again until there is silence once. A cable that was pulled closes no socket: the heartbeat would take
 * two to three of its intervals, this takes `everyMs + silenceMs`.
 */
export const startProbe = (deps: ProbeDeps): Probe => {
  const { ask, everyMs, silenceMs, isBlocked, bytesRead, onSilence } = deps;
  const stopping = new AbortController();
  const isStopped = (): boolean => stopping.signal.aborted;
  let wake: (() => void) | null = null;
  let timer: NodeJS.Timeout | undefined;

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
      timer = setTimeout(resolve, ms);
    });
  const end = (): void => {
    clearTimeout(timer);
    wake?.();
  };

  const answers = async (): Promise<boolean> => {
    let settled = false;
    const answered = (): boolean => settled;
    const done = (): void => {
      settled = true;
      end();
    };
    ask().then(done, done);
    let [silent, unanswered] = [0, 0];
    // What comes in lengthens the wait, once: where only our way to the broker is cut, it goes on delivering for long.
    while (silent < slices && unanswered < 2 * slices) {
      const before = bytesRead();
      await pause(silenceMs / slices);
      if (answered() || isStopped()) return true;
      unanswered = isBlocked() ? 0 : unanswered + 1;
      silent = isBlocked() || bytesRead() !== before ? 0 : silent + 1;
    }
    return false;
  };

  const run = async (): Promise<void> => {
    while (!isStopped()) {
      if (!(await answers())) {
        onSilence();
        return;
      }
      // `stop` may have come meanwhile, and would not find this pause.
      if (!isStopped()) await pause(everyMs);
    }
  };
  void run();

  return {
    stop: () => {
      stopping.abort();
      end();
    },
  };
};
