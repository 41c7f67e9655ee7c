import { Counter, Gauge, Histogram, type LabelValues, type Registry } from 'prom-client';
import { makeBatchHistogram } from './batch-histogram.js';
import type { BusHealth, MessageBus } from './messaging/message-bus.js';
import type { MessagingMetrics } from './messaging/messaging-metrics.js';

/** What the message bus counts, and what can be seen of it when somebody asks. */
export type MessagingTelemetry = {
  readonly messaging: MessagingMetrics;
  /** From now on the gauges show what the bus says of itself. */
  readonly watchBus: (health: () => BusHealth) => void;
  /** From now on each scrape asks the broker for the messages in these queues. */
  readonly watchParked: (queues: readonly string[], countOf: MessageBus['countOf']) => void;
};

/** An alarm goes by it: 2 while nothing gets through. */
const circuitStates = { closed: 0, probing: 1, open: 2 } as const;

/** From a good day to one on which the ladder's longest rung was needed, in seconds. */
const ageBounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900];

/** A scrape must not wait for a broker that is away. */
const countWithinMs = 1_000;

const within = async <T>(ms: number, work: Promise<T>): Promise<T | null> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => {
      resolve(null);
    }, ms);
  });
  try {
    return await Promise.race([work.catch(() => null), late]);
  } finally {
    clearTimeout(timer);
  }
};

/** Counters rise once a batch; a gauge is read when it is scraped. */
export const makeMessagingTelemetry = (registry: Registry): MessagingTelemetry => {
  const registers = [registry];
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]): Counter<Label> =>
    new Counter({ name, help, labelNames, registers });

  const published = counter('warren_published_total', 'Messages sent to an exchange', 'exchange');
  const confirmed = counter('warren_confirmed_total', 'Messages that the broker confirmed', 'exchange');
  const returned = counter('warren_returned_total', 'Messages that reached no queue', 'exchange');
  const unknown = counter('warren_publish_unknown_total', 'Messages of which nobody knows', 'exchange');
  const consumed = counter('warren_consumed_total', 'Deliveries handed to a handler', 'queue');
  const redelivered = counter('warren_redelivered_total', 'Of those, the ones that were delivered before', 'queue');
  const settled = counter('warren_settled_total', 'Deliveries settled, by outcome', 'queue', 'outcome');
  const retried = counter('warren_retried_total', 'Deliveries sent down the retry ladder', 'queue');
  const parked = counter('warren_parked_total', 'Messages parked, by reason', 'queue', 'reason');
  const reconnects = counter('warren_reconnects_total', 'Connections to the broker made again', 'connection');
  const circuitOpened = counter('warren_circuit_opened_total', 'Pauses for a dependency', 'queue', 'dependency');
  const blocked = new Gauge({
    name: 'warren_connection_blocked',
    help: '1 while an alarm of the broker blocks it',
    labelNames: ['connection'],
    registers,
  });
  const handled = new Histogram({
    name: 'warren_process_duration_seconds',
    help: 'Time of the handler for one batch',
    labelNames: ['queue'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const critical = makeBatchHistogram(registry, {
    name: 'warren_critical_time_seconds',
    help: 'From sent to processed, of messages that say when they were sent',
    bounds: ageBounds,
  });

  // Ages are told when a batch is in hand and count until it is processed.
  const agesInHand = new Map<string, readonly number[]>();

  const circuits = new Map<string, keyof typeof circuitStates>();

  const count = <Label extends string>(of: Counter<Label>, labels: LabelValues<Label>, by: number): void => {
    if (by > 0) of.inc(labels, by);
  };

  const messaging: MessagingMetrics = {
    onPublished: (exchange, counts) => {
      const labels = { exchange };
      count(published, labels, counts.confirmed + counts.returned + counts.unknown);
      count(confirmed, labels, counts.confirmed);
      count(returned, labels, counts.returned);
      count(unknown, labels, counts.unknown);
    },
    onConsumed: (queue, counts) => {
      count(consumed, { queue }, counts.messages);
      count(redelivered, { queue }, counts.redelivered);
      agesInHand.set(queue, counts.ageSeconds);
    },
    onHandled: (queue, seconds) => {
      handled.observe({ queue }, seconds);
      critical.observe(queue, agesInHand.get(queue) ?? [], seconds);
      agesInHand.delete(queue);
    },
    onSettled: (queue, outcome, number) => {
      settled.inc({ queue, outcome }, number);
      if (outcome === 'retry') retried.inc({ queue }, number);
    },
    onParked: (queue, reason) => {
      parked.inc({ queue, reason });
    },
    onReconnect: (connection) => {
      reconnects.inc({ connection });
    },
    onCircuit: (queue, state, dependency) => {
      // A probe that fails opens it again, which is the same pause.
      if ((circuits.get(queue) ?? 'closed') === 'closed' && dependency) circuitOpened.inc({ queue, dependency });
      circuits.set(queue, state);
    },
    onBlocked: (connection, isBlocked) => {
      blocked.set({ connection }, isBlocked ? 1 : 0);
    },
  };

  const watchBus: MessagingTelemetry['watchBus'] = (health) => {
    new Gauge({
      name: 'warren_unconfirmed',
      help: 'Messages sent that the broker has not confirmed yet',
      registers,
      collect() {
        this.set(health().unconfirmed);
      },
    });
    new Gauge({
      name: 'warren_in_flight',
      help: 'Deliveries in hand that are not settled',
      labelNames: ['queue'],
      registers,
      collect() {
        this.reset();
        for (const { queue, inHand } of health().consumers) this.inc({ queue }, inHand);
      },
    });
    new Gauge({
      name: 'warren_circuit_state',
      help: '0 closed, 1 tries one message, 2 open',
      labelNames: ['queue'],
      registers,
      collect() {
        this.reset();
        for (const { queue } of health().consumers) {
          this.set({ queue }, circuitStates[circuits.get(queue) ?? 'closed']);
        }
      },
    });
    new Gauge({
      name: 'warren_consumers',
      help: 'Consumers of this process, by state',
      labelNames: ['queue', 'state'],
      registers,
      collect() {
        this.reset();
        for (const { queue, state } of health().consumers) this.inc({ queue, state });
      },
    });
  };

  const watchParked: MessagingTelemetry['watchParked'] = (queues, countOf) => {
    // A scrape that comes before the broker has answered the last one shares its question: there is one a queue.
    const asked = new Map<string, ReturnType<MessageBus['countOf']>>();
    const ask = (queue: string): ReturnType<MessageBus['countOf']> => {
      const running = asked.get(queue);
      if (running) return running;
      const count = countOf(queue).finally(() => asked.delete(queue));
      asked.set(queue, count);
      return count;
    };
    new Gauge({
      name: 'warren_parked_messages',
      help: 'Messages that wait for a person, those that the broker parked too; nothing while it does not answer',
      labelNames: ['queue'],
      registers,
      async collect() {
        const counts = await Promise.all(queues.map((queue) => within(countWithinMs, ask(queue))));
        this.reset();
        for (const [at, found] of counts.entries()) if (found) this.set({ queue: queues[at] ?? '' }, found.messages);
      },
    });
  };

  return { messaging, watchBus, watchParked };
};
