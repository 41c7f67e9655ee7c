import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { makeMessagingTelemetry, type MessagingTelemetry } from './messaging-telemetry.js';

/** Counts of what the process did. Hot paths call them once a batch, never once a message. */
export type Telemetry = MessagingTelemetry & {
  readonly commandsHandled: (status: string, count: number) => void;
  readonly eventsPublished: (count: number) => void;
  readonly eventsRelayed: (count: number) => void;
  readonly eventsApplied: (projection: string, count: number) => void;
  /** Events that a read model lacked and got from the store, since their message was lost or late. */
  readonly eventsHealed: (projection: string, count: number) => void;
  /** A commit of an append whose outcome was unknown, until it was read back. */
  readonly unknownOutcomeResolved: () => void;
  readonly ready: (isReady: boolean) => void;
  /** Prometheus text format. */
  readonly expose: () => Promise<{ readonly contentType: string; readonly body: string }>;
};

export const makeTelemetry = (role: string): Telemetry => {
  const registry = new Registry();
  registry.setDefaultLabels({ role });
  collectDefaultMetrics({ register: registry });
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> =>
    new Counter({ name, help, labelNames: [...labelNames], registers: [registry] });

  const commands = counter('warren_commands_total', 'Commands answered, by status', ['status']);
  const published = counter('warren_events_published_total', 'Events that the broker confirmed', []);
  const relayed = counter('warren_events_relayed_total', 'Events published for an interrupted worker', []);
  const applied = counter('warren_events_applied_total', 'Events handed to a projection', ['projection']);
  const healed = counter('warren_events_healed_total', 'Events fetched from the store for a read model', [
    'projection',
  ]);
  const unknownOutcomes = counter(
    'warren_unknown_outcomes_total',
    'Appends whose outcome was unknown until it was read back',
    [],
  );
  const ready = new Gauge({ name: 'warren_ready', help: '1 when the role is ready', registers: [registry] });

  return {
    ...makeMessagingTelemetry(registry),
    commandsHandled: (status, count) => {
      commands.inc({ status }, count);
    },
    eventsPublished: (count) => {
      published.inc(count);
    },
    eventsRelayed: (count) => {
      relayed.inc(count);
    },
    eventsApplied: (projection, count) => {
      applied.inc({ projection }, count);
    },
    eventsHealed: (projection, count) => {
      healed.inc({ projection }, count);
    },
    unknownOutcomeResolved: () => {
      unknownOutcomes.inc();
    },
    ready: (isReady) => {
      ready.set(isReady ? 1 : 0);
    },
    expose: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
};
