import { createHash } from 'node:crypto';
import { parseCommand, type ParsedCommand } from '../core/command.js';
import type { DomainIndex } from '../core/domain.js';
import { outcomeOf } from '../core/failure-policy.js';
import type { DomainCommand } from '../core/handle-commands.js';
import type { RecordedEvent } from '../core/message.js';
import type { Reply } from '../core/reply.js';
import type { EventStore } from '../event-store/event-store.js';
import type { Logger } from '../logger.js';
import type { Delivery, MessageBus, Outcome, OutgoingMessage } from '../messaging/message-bus.js';
import { commandsExchange, commandsQueue } from '../messaging/topology.js';
import type { Telemetry } from '../telemetry.js';
import { makeAggregates } from './aggregates.js';
import { makeCommandHandler, type CommandResult } from './command-handler.js';
import { judging, probing } from './consuming.js';
import { makeEventPublisher } from './event-publisher.js';
import type { Patience } from './patience.js';
import { makeSnapshotWriter } from './snapshot-writer.js';
import type { Worker } from './worker.js';

/** Places on the way of a batch where tests kill the process; nothing else may hang on them. */
export type CrashPoint = 'after-append' | 'after-publish' | 'before-ack';

type Deps = {
  readonly bus: MessageBus;
  readonly eventStore: EventStore;
  readonly domains: DomainIndex;
  readonly settings: {
    readonly maxMessageBytes: number;
    readonly prefetch: number;
    readonly batchSize: number;
    readonly cachedAggregates: number;
    /** Of the relays: what is kept more often than that is left to this worker. */
    readonly olderThanMs: number;
  };
  readonly now: () => Date;
  readonly newId: () => string;
  readonly telemetry: Telemetry;
  readonly patience: Patience;
  readonly log: Logger;
  readonly reached?: (point: CrashPoint) => void;
};

/** What makes two commands of one id the same command. The payload is as its schema gave it, so key order is settled. */
const digestOf = (type: string, aggregateId: string, payload: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify([type, aggregateId, payload]))
    .digest('base64')
    .slice(0, 22);

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** A message from queue `commands` as the command that it is for a worker. */
export const parseDelivery = (delivery: Delivery, deps: Parameters<typeof parseCommand>[1]): ParsedCommand => {
  const { messageId, correlationId, type, headers } = delivery.properties;
  return parseCommand(
    {
      body: delivery.body,
      properties: { messageId, correlationId, type, traceparent: text(headers?.['traceparent']) },
      routedType: delivery.exchange === commandsExchange ? delivery.routingKey : undefined,
    },
    deps,
  );
};

const replyMessage = (delivery: Delivery, reply: Reply | undefined): OutgoingMessage[] => {
  const { replyTo, correlationId } = delivery.properties;
  if (reply === undefined || replyTo === undefined) return [];
  return [
    {
      exchange: '',
      routingKey: replyTo,
      body: Buffer.from(JSON.stringify(reply)),
      properties: {
        contentType: 'application/json',
        type: 'reply',
        appId: 'warren',
        ...(correlationId === undefined ? {} : { correlationId }),
      },
      mandatory: false,
    },
  ];
};

type Answer = { readonly outcome: Outcome; readonly reply?: Reply };

const answerOf = (result: CommandResult): Answer => {
  switch (result.kind) {
    case 'answered':
      return { outcome: { do: 'ack' }, reply: result.reply };
    case 'invalid':
      return {
        outcome: { do: 'park', reason: result.reason, cause: new Error(result.message) },
        reply: result.reply,
      };
    case 'failed':
      return { outcome: outcomeOf(result.cause) };
  }
};

/**
 * Takes batches from queue `commands`: decides, appends, publishes, replies, in this order, then acks. Killed
 * - before the append: the broker delivers again, nothing happened;
 * - after the append: redelivered commands are answered from the store, the relay publishes the events;
 * - after the publish: the relay may publish them once more, consumers drop what they have;
 * - before the ack: redelivered commands are answered once more from the store.
 */
export const makeCommandWorker = (deps: Deps): Worker => {
  const { bus, eventStore, domains, settings, now, newId, telemetry, patience, log } = deps;
  const publisher = makeEventPublisher({ eventStore, bus, patience, olderThanMs: settings.olderThanMs });
  const reached = deps.reached ?? (() => undefined);
  const parsing = { domains, newId, maxBytes: settings.maxMessageBytes };
  const snapshotWriter = makeSnapshotWriter({ snapshots: eventStore.snapshots, log });
  const aggregates = makeAggregates({ eventStore, log, snapshots: snapshotWriter });
  const handle = makeCommandHandler({
    now,
    cachedAggregates: settings.cachedAggregates,
    eventStore,
    aggregates,
  });

  const domainCommand = (parsed: ParsedCommand): DomainCommand[] => {
    const domain = parsed.ok ? domains.ofAggregate(parsed.aggregateType) : undefined;
    if (!parsed.ok || !domain) return [];
    const { type, aggregateId, payload } = parsed.command;
    return [{ command: parsed.command, domain, digest: digestOf(type, aggregateId, payload) }];
  };

  const publishAll = async (events: readonly RecordedEvent[]): Promise<void> => {
    if (events.length === 0) return;
    reached('after-append');
    const isPublished = await publisher.publishAppended(events, now(), () => {
      telemetry.eventsPublished(events.length);
      reached('after-publish');
    });
    // Stored is what the sender asked for: no foreign queue that is full stops the commands.
    if (isPublished) return;
    const [first, last] = [events[0]?.position, events.at(-1)?.position];
    log.warn({ events: events.length, first, last }, 'the broker refuses events, leaves them to the relay');
  };

  const count = (answers: readonly Answer[]): void => {
    const counts = new Map<string, number>();
    for (const { reply } of answers) if (reply) counts.set(reply.status, (counts.get(reply.status) ?? 0) + 1);
    counts.forEach((n, status) => {
      telemetry.commandsHandled(status, n);
    });
  };

  const handleBatch = async (batch: readonly Delivery[]): Promise<readonly Outcome[]> => {
    const parsed = batch.map((delivery) => parseDelivery(delivery, parsing));
    const results = await handle(parsed.flatMap(domainCommand));
    const events = results.flatMap((result) => (result.kind === 'answered' ? result.appended : []));
    await publishAll(events.sort((a, b) => a.position - b.position));

    const inOrder = results[Symbol.iterator]();
    const answers = parsed.map((each): Answer => {
      if (!each.ok) {
        return { outcome: { do: 'park', reason: each.reason, cause: new Error(each.message) }, reply: each.reply };
      }
      return answerOf(inOrder.next().value ?? { kind: 'failed', cause: new Error('The command has no result') });
    });
    const messages = batch.flatMap((delivery, at) => replyMessage(delivery, answers[at]?.reply));
    if (messages.length > 0) await bus.reply(messages);
    count(answers);
    reached('before-ack');
    return answers.map(({ outcome }) => outcome);
  };

  const { prefetch, batchSize } = settings;
  const consumer = bus.consume(commandsQueue, judging(handleBatch, { now, log }), {
    prefetch,
    batchSize,
    probe: probing(eventStore),
  });

  return {
    ready: consumer.ready,
    isReady: () => consumer.isConsuming(),
    stop: async () => {
      await consumer.stop();
      await snapshotWriter.stop();
    },
  };
};
