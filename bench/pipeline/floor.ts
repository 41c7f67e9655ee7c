import type { ConsumeMessage } from 'amqplib';
import { WriteConcern } from 'mongodb';
import { createHash, randomUUID } from 'node:crypto';
import { consumeBatches, fail, openConnections, openPublisher, reportReady, settings } from './connections.js';
import {
  decide,
  emptyState,
  evolve,
  parseCommand,
  rules,
  type Command,
  type EventDocument,
  type State,
} from './rules.js';
import { collectionsOf, headPosition, isLostRace, openStore } from './store.js';
import { declareTopology } from './topology.js';
import { publishEvents } from './wire.js';

/**
 * The floor's command worker: what somebody writes who knows all of Warren's decisions and needs no second domain, no
 * second adapter and no operator. Same services, batches and guarantees; a failure that is not a lost race ends the process,
 * and a restart heals it. It leaves out what costs nothing while all is well: reconnecting, the retry ladder, metrics.
 */

type Answer = Readonly<Record<string, unknown>>;
type Item = { readonly message: ConsumeMessage; readonly command: Command | null; answer: Answer };

const { broker, mongo, db } = await openConnections();
const publisher = await openPublisher();
const replies = await broker.createChannel();
await declareTopology(publisher);
const storeId = await openStore(db);
const { events, outbox } = collectionsOf(db);
const session = mongo.startSession();

const states = new Map<string, State>();
let head = await headPosition(events);

const keyOf = (aggregateType: string, aggregateId: string): string => `${aggregateType}/${aggregateId}`;
const typeOf = (command: Command): string => rules[command.type]?.aggregateType ?? '';
const digestOf = (command: Command): string =>
  createHash('sha256')
    .update(JSON.stringify([command.type, command.aggregateId, command.payload]))
    .digest('base64');

/** Reads the streams that are not remembered, in one query. */
const loadStates = async (commands: readonly Command[]): Promise<void> => {
  const missing = commands.filter((command) => !states.has(keyOf(typeOf(command), command.aggregateId)));
  if (missing.length === 0) return;
  for (const command of missing) states.set(keyOf(typeOf(command), command.aggregateId), emptyState);
  const streams = ['user', 'order'].map((aggregateType) => ({
    aggregateType,
    aggregateId: { $in: missing.filter((command) => typeOf(command) === aggregateType).map((one) => one.aggregateId) },
  }));
  for await (const event of events.find({ $or: streams }).sort({ aggregateType: 1, aggregateId: 1, version: 1 })) {
    const key = keyOf(event.aggregateType, event.aggregateId);
    states.set(key, evolve(states.get(key) ?? emptyState, event));
  }
};

const accepted = (command: Command, stored: readonly EventDocument[], version: number): Answer => ({
  commandId: command.id,
  status: 'accepted',
  aggregateId: command.aggregateId,
  version,
  events: stored.map((event) => ({
    id: event.eventId,
    type: event.type,
    version: event.version,
    position: event._id,
  })),
});

/** A command that ran before is answered from the store; with other content its id is refused. */
const answerFromStore = async (items: readonly Item[]): Promise<ReadonlySet<string>> => {
  const ids = items.flatMap(({ command }) => command?.id ?? []);
  const stored = await events.find({ 'metadata.commandId': { $in: ids } }).toArray();
  const byCommand = new Map(stored.map((event) => [event.metadata.commandId, event]));
  for (const item of items) {
    const event = item.command && byCommand.get(item.command.id);
    if (!item.command || !event) continue;
    const isSame = event.commandDigest === digestOf(item.command);
    const refusal = { commandId: item.command.id, status: 'invalid', error: { code: 'COMMAND_ID_REUSED' } };
    item.answer = isSame ? accepted(item.command, [event], event.version) : refusal;
  }
  return new Set(byCommand.keys());
};

/** Decides in order, each command on what those before it leave; gives the events to append. */
const decideAll = (items: readonly Item[], known: ReadonlySet<string>): EventDocument[] => {
  const batch: EventDocument[] = [];
  const timestamp = new Date();
  for (const item of items) {
    const { command } = item;
    if (!command || known.has(command.id)) continue;
    const key = keyOf(typeOf(command), command.aggregateId);
    const state = states.get(key) ?? emptyState;
    const isExpected = command.expectedVersion === undefined || command.expectedVersion === state.version;
    const decision = isExpected ? decide(command, state) : 'VERSION_CONFLICT';
    if (typeof decision === 'string') {
      const status = isExpected ? 'rejected' : 'conflict';
      item.answer = { commandId: command.id, status, aggregateId: command.aggregateId, error: { code: decision } };
      continue;
    }
    const event: EventDocument = {
      _id: head + batch.length + 1,
      eventId: randomUUID(),
      aggregateType: typeOf(command),
      aggregateId: command.aggregateId,
      version: state.version + 1,
      type: decision.type,
      schemaVersion: 1,
      payload: decision.payload,
      metadata: {
        commandId: command.id,
        correlationId: command.metadata?.correlationId ?? command.id,
        causationId: command.metadata?.causationId ?? command.id,
      },
      timestamp,
      commandIndex: 0,
      commandDigest: digestOf(command),
    };
    batch.push(event);
    states.set(key, evolve(state, event));
    item.answer = accepted(command, [event], event.version);
  }
  return batch;
};

const append = async (batch: readonly EventDocument[]): Promise<void> => {
  session.startTransaction({ writeConcern: new WriteConcern('majority') });
  try {
    await outbox.insertOne({ _id: head + 1, last: head + batch.length, at: new Date() }, { session });
    await events.insertMany(batch, { session });
    await session.commitTransaction();
  } catch (error) {
    if (session.inTransaction()) await session.abortTransaction();
    throw error;
  }
};

/** Decides and appends until no other writer came between. */
const decideAndAppend = async (items: readonly Item[]): Promise<EventDocument[]> => {
  const commands = items.flatMap(({ command }) => command ?? []);
  const isRepeated = items.some(({ message }) => message.fields.redelivered);
  let known: ReadonlySet<string> = isRepeated ? await answerFromStore(items) : new Set();
  for (;;) {
    await loadStates(commands);
    const batch = decideAll(items, known);
    try {
      if (batch.length > 0) await append(batch);
      head += batch.length;
      return batch;
    } catch (error) {
      if (!isLostRace(error)) throw error;
      for (const command of commands) states.delete(keyOf(typeOf(command), command.aggregateId));
      head = await headPosition(events);
      known = await answerFromStore(items);
    }
  }
};

const handle = async (messages: readonly ConsumeMessage[]): Promise<void> => {
  const items = messages.map((message): Item => {
    const command = parseCommand(message.content);
    return { message, command, answer: { commandId: null, status: 'invalid', error: { code: 'SCHEMA' } } };
  });
  const batch = await decideAndAppend(items);
  await publishEvents(publisher, batch, storeId);
  // After the confirms: a kill before this line publishes twice, which the consumers absorb
  if (batch[0]) await outbox.deleteOne({ _id: batch[0]._id });

  // A no may only say that the first run of this id was the reason
  const refused = items.filter(({ answer }) => answer['status'] === 'rejected' || answer['status'] === 'conflict');
  if (refused.length > 0) await answerFromStore(refused);
  for (const { message, command, answer } of items) {
    if (!command) publisher.sendToQueue('commands.parked', message.content, { persistent: true });
    const { replyTo, correlationId } = message.properties as { replyTo?: string; correlationId?: string };
    if (replyTo === undefined) continue;
    replies.sendToQueue(replyTo, Buffer.from(JSON.stringify(answer)), {
      contentType: 'application/json',
      ...(correlationId === undefined ? {} : { correlationId }),
    });
  }
  if (items.some(({ command }) => !command)) await publisher.waitForConfirms();
};

await consumeBatches(broker, 'commands', settings.commands, handle).catch(fail);
reportReady('command-worker');
