import type { ConsumeMessage } from 'amqplib';
import { createHash, randomUUID } from 'node:crypto';
import { consumeBatches, fail, openConnections, openPublisher, reportReady } from './connections.js';
import { decide, emptyState, evolve, parseCommand, project, rules, type EventDocument } from './rules.js';
import { collectionsOf, headPosition, openStore, type LedgerDocument } from './store.js';
import { declareTopology } from './topology.js';
import { publishEvents } from './wire.js';

/**
 * What people write first: one command at a time through everything, in one process. It keeps less than Warren does (a
 * crash between two lines leaves them apart), which makes it faster than an equal one-at-a-time loop would be.
 */

const { broker, db } = await openConnections();
const publisher = await openPublisher();
await declareTopology(publisher, { withEventQueues: false });
const storeId = await openStore(db);
const { events, users, orders, statistics, tracked, checkpoints, notifications } = collectionsOf(db);
let head = await headPosition(events);

const updateStatistics = async (event: EventDocument): Promise<void> => {
  const old = await tracked.findOne({ _id: event.aggregateId });
  const now = evolve(old ?? emptyState, event);
  await tracked.replaceOne({ _id: event.aggregateId }, { ...now }, { upsert: true });
  if (old) {
    const left = { count: -1, totalCents: -old.totalCents };
    await statistics.updateOne({ _id: old.status }, { $inc: left });
  }
  const entered = { count: 1, totalCents: now.totalCents };
  await statistics.updateOne({ _id: now.status }, { $inc: entered }, { upsert: true });
  const position = { $set: { position: event._id, storeId } };
  await checkpoints.updateOne({ _id: 'order_statistics' }, position, { upsert: true });
};

const notify = async (event: EventDocument): Promise<void> => {
  const rule = event.type === 'user.created' ? 'welcome' : 'order-updates';
  const order = event.aggregateType === 'order' ? await orders.findOne({ _id: event.aggregateId }) : null;
  const userId = (order?.['customerId'] as string | undefined) ?? event.aggregateId;
  const user = await users.findOne({ _id: userId });
  const recipient = (user?.['email'] as string | undefined) ?? userId;
  const _id = `${rule}:${event.eventId}`;
  const row: LedgerDocument = {
    _id,
    rule,
    channel: 'log',
    recipient,
    status: 'pending',
    attempts: 1,
    sentAt: null,
    error: null,
    leaseUntil: new Date(),
  };
  await notifications.insertOne(row);
  process.stdout.write(`${JSON.stringify(row)}\n`);
  await notifications.updateOne({ _id }, { $set: { status: 'sent', sentAt: new Date() } });
};

const handleOne = async (message: ConsumeMessage): Promise<void> => {
  const command = parseCommand(message.content);
  const aggregateType = command && rules[command.type]?.aggregateType;
  if (!command || !aggregateType) return;
  const stream = { aggregateType, aggregateId: command.aggregateId };
  const stored = await events.find(stream).sort({ version: 1 }).toArray();
  const state = stored.reduce(evolve, emptyState);
  const decision = decide(command, state);
  if (typeof decision !== 'string') {
    const event: EventDocument = {
      _id: head + 1,
      eventId: randomUUID(),
      ...stream,
      version: state.version + 1,
      type: decision.type,
      schemaVersion: 1,
      payload: decision.payload,
      metadata: { commandId: command.id, correlationId: command.id, causationId: command.id },
      timestamp: new Date(),
      commandIndex: 0,
      commandDigest: createHash('sha256').update(message.content).digest('base64'),
    };
    await events.insertOne(event);
    head = event._id;
    await publishEvents(publisher, [event], storeId);
    const readModels = aggregateType === 'user' ? users : orders;
    const document = await readModels.findOne({ _id: command.aggregateId });
    const next = project(document ?? undefined, event);
    await readModels.replaceOne({ _id: command.aggregateId }, next, { upsert: true });
    if (aggregateType === 'order') await updateStatistics(event);
    if (!['user.updated', 'user.deactivated', 'order.created'].includes(event.type)) await notify(event);
  }
  const { replyTo, correlationId } = message.properties as { replyTo?: string; correlationId?: string };
  if (replyTo === undefined) return;
  const answer = { commandId: command.id, status: typeof decision === 'string' ? 'rejected' : 'accepted' };
  publisher.sendToQueue(
    replyTo,
    Buffer.from(JSON.stringify(answer)),
    correlationId === undefined ? {} : { correlationId },
  );
};

await consumeBatches(broker, 'commands', { prefetch: 1, batchSize: 1 }, async (batch) => {
  for (const message of batch) await handleOne(message);
}).catch(fail);
reportReady('naive loop');
