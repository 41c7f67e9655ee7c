/**
 * A role at work, or a part of one. `ready` resolves when it does its work for the first time; `stop` takes no more
 * work, finishes what is in hand and hands the rest back.
 */
export type Worker = {
  readonly ready: Promise<void>;
  /** Does it do its work at this moment? */
  isReady(): boolean;
  stop(): Promise<void>;
};

/** Several workers as one. */
export const allOf = (workers: readonly Worker[]): Worker => ({
  ready: Promise.all(workers.map(({ ready }) => ready)).then(() => undefined),
  isReady: () => workers.every((worker) => worker.isReady()),
  stop: async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
  },
});

/** Runs `task` again and again, `everyMs` after its last end; an error is given to `onError` and the next run comes. */
export const everyInterval = (
  everyMs: number,
  task: () => Promise<void>,
  onError: (error: unknown) => void,
): { stop(): Promise<void> } => {
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const run = async (): Promise<void> => {
    await task().catch(onError);
    if (!stopping.signal.aborted) schedule();
  };
  let running: Promise<void> = Promise.resolve();
  const schedule = (): void => {
    timer = setTimeout(() => {
      running = run();
    }, everyMs);
  };
  schedule();
  return {
    stop: async () => {
      stopping.abort();
      clearTimeout(timer);
      await running;
    },
  };
};

/** Runs tasks one after the other, in the order of the calls. */
export const makeSerial = (): (<T>(task: () => Promise<T>) => Promise<T>) => {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const next = last.then(task);
    last = next.catch(() => undefined);
    return next;
  };
};
