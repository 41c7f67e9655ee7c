import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { EventStore } from './event-store/event-store.js';
import type { MessageBus } from './messaging/message-bus.js';
import type { ReadStore } from './read-store/read-store.js';

/** The sign of life of one supervised loop. */
export type Heart = {
  /** It turns: it has begun something, or ended it. */
  beat(): void;
  /** It is not wanted any more. */
  end(): void;
};

export type LivenessState = {
  /** What does not move any more; empty: the process is alive. */
  readonly stuck: readonly string[];
  /** The longest that the event loop kept somebody waiting since the last look. */
  readonly eventLoopDelayMs: number;
};

export type Liveness = {
  /** `isIdle`: it has nothing to do, so that no beat is expected. */
  watch(name: string, isIdle?: () => boolean): Heart;
  /** Whoever is silent waits for broker or database: they are given their time anew. */
  excuse(): void;
  readonly state: () => LivenessState;
  readonly stop: () => void;
};

export type LivenessDeps = {
  /** An event loop that stood still for so long may have more of it to come. */
  readonly stallMs: number;
  /** A loop may be silent for so long: a slow handler is alive. */
  readonly handlerStuckMs: number;
  /** Milliseconds that only grow. */
  readonly now: () => number;
  /** Calls `look` every `everyMs` until it is told to stop. */
  readonly repeat?: (look: () => void, everyMs: number) => () => void;
};

const everyMs = 1_000;
const resolutionMs = 20;

const byTimer = (look: () => void, periodMs: number): (() => void) => {
  const timer = setInterval(look, periodMs).unref();
  return () => {
    clearInterval(timer);
  };
};

/**
 * Is this process worth keeping? Only what a restart mends counts: never that broker or database are away.
 *
 * An event loop that stands still answers nobody, so it is known by the time limit of who asks; one that stood still and
 * goes on is `stuck` for as long as the limit once more, so that a restart comes where it happens again and again.
 */
export const makeLiveness = ({ stallMs, handlerStuckMs, now, repeat = byTimer }: LivenessDeps): Liveness => {
  const hearts = new Set<{ readonly name: string; readonly isIdle: () => boolean; last: number }>();
  const delays = monitorEventLoopDelay({ resolution: resolutionMs });
  delays.enable();
  let lastLook = now();
  let stalledAt = -Infinity;

  const look = (): void => {
    const at = now();
    if (at - lastLook - everyMs > stallMs) stalledAt = at;
    lastLook = at;
    // An idle loop has its whole time from the moment at which it gets something to do.
    for (const heart of hearts) if (heart.isIdle()) heart.last = at;
  };
  const stop = repeat(look, everyMs);

  return {
    watch: (name, isIdle = () => false) => {
      const heart = { name, isIdle, last: now() };
      hearts.add(heart);
      return {
        beat: () => {
          heart.last = now();
        },
        end: () => {
          hearts.delete(heart);
        },
      };
    },
    excuse: () => {
      const at = now();
      for (const heart of hearts) heart.last = at;
    },
    state: () => {
      const at = now();
      const silent = [...hearts].filter((heart) => !heart.isIdle() && at - heart.last > handlerStuckMs);
      // It measures from one of its timers to the next.
      const eventLoopDelayMs = Math.max(0, Math.round(delays.max / 1e6) - resolutionMs);
      delays.reset();
      return {
        stuck: [...(at - stalledAt < stallMs ? ['event loop'] : []), ...silent.map(({ name }) => name)],
        eventLoopDelayMs,
      };
    },
    stop: () => {
      stop();
      delays.disable();
    },
  };
};

type Ports = {
  readonly bus: MessageBus;
  readonly eventStore: EventStore;
  readonly readStore: ReadStore;
};

/** The same port, with a beat at each call. */
const beating = <Port extends object>(port: Port, beat: () => void): Port => {
  const members = Object.entries(port).map(([name, member]: [string, unknown]) => {
    if (typeof member === 'object' && member !== null) return [name, beating(member, beat)];
    if (typeof member !== 'function') return [name, member];
    return [
      name,
      (...args: unknown[]): unknown => {
        beat();
        return Reflect.apply(member, port, args);
      },
    ];
  });
  return Object.fromEntries(members) as Port;
};

/**
 * The ports of one worker, with its heart in them: it beats when a batch comes to its handler, when the handler is done,
 * and when it asks a store, so that to catch up for an hour is no silence.
 *
 * `alwaysTurns`: it looks at the store by itself too, so from its first turn on it must never be silent. For others no
 * beat is expected while nothing is in hand, or while a dependency is waited for.
 */
export const supervise = (
  name: string,
  { bus, eventStore, readStore }: Ports,
  { liveness, alwaysTurns }: { readonly liveness: Pick<Liveness, 'watch'>; readonly alwaysTurns: boolean },
): { readonly ports: Ports; readonly end: () => void } => {
  let heart: Heart | null = null;
  let running = false;
  let idle = (): boolean => false;
  const beat = (): void => {
    heart?.beat();
  };
  const begin = (): void => {
    heart ??= liveness.watch(name, () => !running && !alwaysTurns && idle());
  };

  const consume: MessageBus['consume'] = (queue, handle, options) => {
    const consumer = bus.consume(
      queue,
      async (batch) => {
        running = true;
        beat();
        try {
          return await handle(batch);
        } finally {
          running = false;
          beat();
        }
      },
      options,
    );
    idle = () => {
      const { state, inHand } = consumer.health();
      return inHand === 0 || state !== 'consuming';
    };
    begin();
    return consumer;
  };
  const { outbox } = eventStore;
  const takeOver: EventStore['outbox']['takeOver'] = (...args) => {
    // A relay consumes nothing: this is what it turns by.
    begin();
    return outbox.takeOver(...args);
  };
  return {
    ports: {
      bus: { ...bus, consume },
      eventStore: beating({ ...eventStore, outbox: { ...outbox, takeOver } }, beat),
      readStore: beating(readStore, beat),
    },
    end: () => heart?.end(),
  };
};
