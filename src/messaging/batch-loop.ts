/** Collects what arrives and hands it on in batches, one at a time. */
export type BatchLoop<Item> = {
  push(item: Item): void;
  /** Everything that was not started; it will not be. */
  takeWaiting(): readonly Item[];
  /** Starts no more batches. */
  stop(): void;
  isRunning(): boolean;
  /** Resolves when the batch in hand is finished. */
  idle(): Promise<void>;
};

/**
 * `run` gets what has arrived when the event loop drains, at most `batchSize`: a batch is as large as the load makes
 * it, without a timer that would delay a lone message. `run` must not reject.
 */
export const makeBatchLoop = <Item>(
  batchSize: number,
  run: (batch: readonly Item[]) => Promise<void>,
): BatchLoop<Item> => {
  let waiting: Item[] = [];
  let running: Promise<void> | null = null;
  let scheduled = false;
  let stopped = false;

  const schedule = (): void => {
    if (scheduled || stopped || running || waiting.length === 0) return;
    scheduled = true;
    setImmediate(start);
  };
  const start = (): void => {
    scheduled = false;
    if (stopped || running || waiting.length === 0) return;
    const batch = waiting.splice(0, batchSize);
    running = run(batch).finally(() => {
      running = null;
      schedule();
    });
  };

  return {
    push: (item) => {
      waiting.push(item);
      schedule();
    },
    takeWaiting: () => {
      const taken = waiting;
      waiting = [];
      return taken;
    },
    stop: () => {
      stopped = true;
    },
    isRunning: () => running !== null,
    idle: async () => {
      await running;
    },
  };
};
