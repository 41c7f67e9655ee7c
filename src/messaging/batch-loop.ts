/** Collects what arrives and hands it on in batches, one at a time. */
export type BatchLoop<Item> = {
  push(item: Item): void;
  /** What was started and not done comes first again, not before `afterMs`; nothing else is started until then. */
  putBack(items: readonly Item[], afterMs: number): void;
  /** Everything that was not started, in order; it will not be. */
  takeWaiting(): readonly Item[];
  /** Starts no more batches. */
  stop(): void;
  isStopped(): boolean;
  /** Items that wait or are in the batch in hand. */
  inHand(): number;
  /** Resolves when the batch in hand is finished. */
  idle(): Promise<void>;
};

/**
 * `run` gets what has arrived when the event loop drains, as many of them as `sizeOf` says: a batch is as large as the
 * load makes it, without a timer that would delay a lone message. `run` must not reject.
 */
export const makeBatchLoop = <Item>(
  sizeOf: (waiting: readonly Item[]) => number,
  run: (batch: readonly Item[]) => Promise<void>,
): BatchLoop<Item> => {
  let waiting: Item[] = [];
  let running: Promise<void> | null = null;
  let runningItems = 0;
  let scheduled = false;
  let pause: NodeJS.Timeout | null = null;
  let stopped = false;

  const schedule = (): void => {
    if (scheduled || stopped || running || pause || waiting.length === 0) return;
    scheduled = true;
    setImmediate(start);
  };
  const resume = (): void => {
    pause = null;
    schedule();
  };
  const runBatch = async (batch: readonly Item[]): Promise<void> => {
    await run(batch);
    running = null;
    runningItems = 0;
    schedule();
  };
  const start = (): void => {
    scheduled = false;
    if (stopped || running || pause || waiting.length === 0) return;
    const batch = waiting.splice(0, sizeOf(waiting));
    runningItems = batch.length;
    running = runBatch(batch);
  };

  return {
    push: (item) => {
      waiting.push(item);
      schedule();
    },
    putBack: (items, afterMs) => {
      waiting = [...items, ...waiting];
      if (pause) clearTimeout(pause);
      pause = stopped ? null : setTimeout(resume, afterMs);
    },
    takeWaiting: () => {
      const taken = waiting;
      waiting = [];
      return taken;
    },
    stop: () => {
      stopped = true;
      if (pause) clearTimeout(pause);
      pause = null;
    },
    isStopped: () => stopped,
    inHand: () => waiting.length + runningItems,
    idle: async () => {
      await running;
    },
  };
};
