import type { ConsumeMessage } from 'amqplib';
import { consumeBatches, fail, openConnections, openPublisher, reportReady, settings } from './connections.js';
import { collectionsOf, openStore, type LedgerDocument } from './store.js';
import { declareTopology } from './topology.js';
import type { CloudEvent } from './wire.js';

/** The floor's notification worker: a row in the ledger, one line in the log, the row is done. */

const { broker, db } = await openConnections();
await declareTopology(await openPublisher());
await openStore(db);
const { events, notifications } = collectionsOf(db);

/** A field that comes with the first event of a stream and never changes after. */
const lookUp = async (
  aggregateType: string,
  ids: readonly string[],
  field: 'email' | 'customerId',
): Promise<ReadonlyMap<string, string>> => {
  const first = { aggregateType, aggregateId: { $in: [...new Set(ids)] }, version: 1 };
  const projection = { aggregateId: 1, [`payload.${field}`]: 1 };
  const found = await events.find(first, { projection }).toArray();
  return new Map(found.map((event) => [event.aggregateId, event.payload[field] ?? event.aggregateId]));
};

const recipientsOf = async (batch: readonly CloudEvent[]): Promise<readonly string[]> => {
  const orderIds = batch.filter((event) => event.aggregatetype === 'order').map((event) => event.subject);
  const customers = orderIds.length > 0 ? await lookUp('order', orderIds, 'customerId') : new Map<string, string>();
  const emails =
    customers.size > 0 ? await lookUp('user', [...customers.values()], 'email') : new Map<string, string>();
  return batch.map((event) => {
    if (event.data.email !== undefined) return event.data.email;
    const customer = customers.get(event.subject) ?? event.subject;
    return emails.get(customer) ?? customer;
  });
};

const makeRule =
  (rule: string) =>
  async (messages: readonly ConsumeMessage[]): Promise<void> => {
    const batch = messages.map(({ content }) => JSON.parse(content.toString()) as CloudEvent);
    const recipients = await recipientsOf(batch);
    const leaseUntil = new Date(Date.now() + settings.notifications.leaseMs);
    const rows = batch.map((event, index): LedgerDocument => ({
      _id: `${rule}:${event.id}`,
      rule,
      channel: 'log',
      recipient: recipients[index] ?? '',
      status: 'pending',
      attempts: 1,
      sentAt: null,
      error: null,
      leaseUntil,
    }));
    const ids = rows.map((row) => row._id);
    const toSend = new Set(ids);
    // A row that is there belongs to an earlier delivery: sent again only if that one never came to its end
    await notifications.insertMany(rows, { ordered: false }).catch(async (error: unknown) => {
      if ((error as { code?: unknown }).code !== 11_000) throw error;
      for (const row of await notifications.find({ _id: { $in: ids } }).toArray()) {
        if (row.status === 'sent') toSend.delete(row._id);
        else if (row.leaseUntil > new Date() && row.leaseUntil < leaseUntil)
          throw new Error(`${row._id} is being sent`);
      }
    });
    const lines = rows.filter((row) => toSend.has(row._id)).map((row) => `${JSON.stringify(row)}\n`);
    process.stdout.write(lines.join(''));
    await notifications.updateMany({ _id: { $in: [...toSend] } }, { $set: { status: 'sent', sentAt: new Date() } });
  };

await Promise.all([
  consumeBatches(broker, 'notifications.welcome', settings.notifications, makeRule('welcome')),
  consumeBatches(broker, 'notifications.order-updates', settings.notifications, makeRule('order-updates')),
]).catch(fail);
reportReady('notification-worker');
