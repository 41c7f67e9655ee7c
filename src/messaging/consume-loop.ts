import { randomUUID } from 'node:crypto';
import { makeBatchLoop, type BatchLoop } from './batch-loop.js';
import { closedCircuit, nextCircuit, type Circuit, type CircuitEvent } from './circuit.js';
import { brokerDown, makeBatchHandling, type Down, type HandleBatchDeps, type InHand } from './handle-batch.js';
import type { ConsumeOptions, Delivery, Dependency } from './message-bus.js';
import type { Answer, Republish } from './settlement.js';

export type ConsumeLoopDeps<Item extends InHand> = Omit<HandleBatchDeps, 'newId' | 'random'> & {
  readonly options: ConsumeOptions;
  /** Is it still on the channel that brought it? */
  readonly isOurs: (item: Item) => boolean;
  /** The adapter's one place that settles: one answer an item. Must not throw. */
  readonly settle: (items: readonly Item[], answers: readonly Answer[]) => void;
  /** Something is on hold, since `sinceMs` by `now`; called at each probe in vain. */
  readonly onHeld?: (sinceMs: number) => void;
};

export type ConsumeLoop<Item extends InHand> = Pick<BatchLoop<Item>, 'push' | 'stop' | 'inHand'> & {
  /** Resolves when the batch in hand is finished, publishes too. */
  idle(): Promise<void>;
  /** They are the broker's again: what waits is forgotten. */
  forget(): void;
  /** Settles what was not started as a stop does. */
  handBack(): void;
  /** What is down, while the consumer is paused. */
  dependency(): Dependency | null;
  /** The dependency answers: closes the circuit where nothing is in hand that could find out. */
  answered(): void;
};

/** A message that so many consumers took and never answered may be what ended them: it is handled alone. */
const suspiciousDeliveries = 3;

const ageSecondsOf = (deliveries: readonly Delivery[], nowMs: number): number[] =>
  deliveries.flatMap(({ properties: { timestamp } }) =>
    timestamp === undefined ? [] : Math.max(0, nowMs / 1000 - timestamp),
  );

/**
 * What every adapter does with what it is brought: batches, handler, answers, and the circuit.
 *
 * A delivery that is put on hold stays in hand, in its place, unsettled: to hand it back would count against its
 * delivery limit (RabbitMQ below 4.3). Then nothing is started but one delivery at a time, the first, with growing
 * pauses; when one gets through, full batches go on. Killed meanwhile, the broker brings all of it again.
 *
 * A delivery that came back often without an answer is a batch of its own: if it is what ends the process, those
 * before it are settled by then. Those that were prefetched behind it are counted on with it by the broker.
 */
export const makeConsumeLoop = <Item extends InHand>(deps: ConsumeLoopDeps<Item>): ConsumeLoop<Item> => {
  const { queue, options, log, metrics, now, settle } = deps;
  const handling = makeBatchHandling({ ...deps, newId: randomUUID, random: Math.random });
  let circuit: Circuit = closedCircuit;
  /** Those whose ladder or parked message is on its way. */
  let publishing = 0;
  let lastPublish: Promise<unknown> = Promise.resolve();

  const turn = (event: CircuitEvent): Circuit => {
    const before = circuit;
    circuit = nextCircuit(before, event, now().getTime(), Math.random());
    if (circuit.kind !== before.kind) {
      metrics?.onCircuit(queue, circuit.kind, circuit.kind === 'closed' ? null : circuit.dependency);
    }
    return circuit;
  };

  const sizeOf = (waiting: readonly Item[]): number => {
    if (circuit.kind !== 'closed') return 1;
    for (let at = 0; at < waiting.length && at < options.batchSize; at += 1) {
      const count = waiting[at]?.delivery.deliveryCount ?? 0;
      if (count >= suspiciousDeliveries) return Math.max(1, at);
    }
    return options.batchSize;
  };

  /** Once a delivery, however often it is tried. */
  const count = (batch: readonly Item[]): void => {
    const fresh = batch.filter(({ tried }) => !tried);
    if (fresh.length === 0) return;
    for (const item of fresh) item.tried = true;
    if (!metrics) return;
    const deliveries = fresh.map(({ delivery }) => delivery);
    metrics.onConsumed(queue, {
      messages: deliveries.length,
      redelivered: deliveries.filter(({ redelivered }) => redelivered).length,
      ageSeconds: ageSecondsOf(deliveries, now().getTime()),
    });
  };

  /** Nobody is counted for what was not tried; what failed and could not be published again did fail. */
  const answerAtStop = ({ unsent }: InHand): Answer => (unsent ? 'reject' : 'giveBack');

  const hold = (items: readonly Item[], { dependency, cause }: Down): void => {
    if (loop.isStopped()) {
      settle(items, items.map(answerAtStop));
      return;
    }
    const before = circuit;
    const after = turn({ on: 'held', dependency });
    if (before.kind === 'closed') log.warn({ err: cause, dependency }, 'paused, a dependency is down');
    if (after.kind !== 'open') return;
    loop.putBack(items, after.probeAt - now().getTime());
    deps.onHeld?.(after.since);
  };

  const passed = (): void => {
    if (circuit.kind === 'closed') return;
    const { dependency, since } = circuit;
    turn({ on: 'passed' });
    log.info({ dependency, pausedMs: now().getTime() - since }, 'resumed, the dependency is back');
  };

  const areOurs = ([first]: readonly Item[]): boolean => first !== undefined && deps.isOurs(first);

  /** One after the other, in order. True: the broker took them all, or said for good that it will not. */
  const publish = async (before: Promise<unknown>, items: readonly Item[], steps: readonly Republish[]) => {
    await before;
    // Lost meanwhile: the broker delivers them again, so a retry published now would be a second copy.
    if (!areOurs(items)) return false;
    const answers = await handling.publish(items, steps, () => areOurs(items));
    if (!areOurs(items)) return false;
    const places = [...items.keys()];
    const held = places.filter((at) => answers[at] === 'hold');
    const done = places.filter((at) => answers[at] !== 'hold');
    settle(
      done.flatMap((at) => items[at] ?? []),
      answers.filter((answer) => answer !== 'hold'),
    );
    const step = steps[held[0] ?? -1];
    if (step) {
      hold(
        held.flatMap((at) => items[at] ?? []),
        brokerDown(step),
      );
    }
    return step === undefined;
  };

  const run = async (batch: readonly Item[]): Promise<void> => {
    const isProbe = turn({ on: 'probe' }).kind === 'probing';
    count(batch);
    const steps = await handling.stepsFor(batch);
    // A probe on a lost channel says nothing: the next one, of the next channel, does.
    if (!areOurs(batch)) return;
    const settled: Item[] = [];
    const answers: Answer[] = [];
    const held: Item[] = [];
    const unsent: Item[] = [];
    const republish: Republish[] = [];
    let down: Down | null = null;
    for (const [at, item] of batch.entries()) {
      const step = steps[at] ?? { do: 'giveBack' };
      if (step.do === 'publish') {
        unsent.push(item);
        republish.push(step);
      } else if (step.do === 'hold') {
        held.push(item);
        down ??= step;
      } else {
        settled.push(item);
        answers.push(step.do);
      }
    }
    settle(settled, answers);
    if (unsent.length > 0) {
      publishing += unsent.length;
      const published = publish(lastPublish, unsent, republish);
      lastPublish = published.then(() => (publishing -= unsent.length));
      // The confirm of one that failed takes longer than to handle many that do not: the next batch does not wait.
      if (isProbe && !(await published)) return;
    }
    if (down) hold(held, down);
    else if (isProbe) passed();
  };

  const loop = makeBatchLoop<Item>(sizeOf, run);

  const inHand = (): number => loop.inHand() + publishing;

  return {
    push: (item) => {
      loop.push(item);
    },
    stop: () => {
      loop.stop();
    },
    inHand,
    idle: async () => {
      await loop.idle();
      await lastPublish;
    },
    forget: () => {
      loop.takeWaiting();
    },
    handBack: () => {
      const unstarted = loop.takeWaiting();
      settle(unstarted, unstarted.map(answerAtStop));
    },
    dependency: () => (circuit.kind === 'closed' ? null : circuit.dependency),
    answered: () => {
      if (inHand() === 0) passed();
    },
  };
};
