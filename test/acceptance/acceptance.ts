import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { makeApi, type Answer, type Api } from '../helpers/api.js';
import { eventually } from '../helpers/eventually.js';
import { expectedReadModels } from '../helpers/expected-read-models.js';

/** A system that runs, in one process or in many. */
export type RunningSystem = {
  readonly url: string;
  /** Everything that its processes printed so far. */
  lines(): readonly string[];
  stop(): Promise<void>;
};

const createOrder = (customerId: string, unitPriceCents = 1250) => ({
  customerId,
  currency: 'EUR',
  lines: [{ sku: 'book', quantity: 2, unitPriceCents }],
});

/** What a user of the system may rely on, whatever it runs on. Everything goes through HTTP, which both modes have. */
export const acceptanceSuite = (mode: string, start: () => Promise<RunningSystem>): void => {
  describe(`a running system, ${mode}`, function () {
    this.timeout(60_000);
    let system: RunningSystem;
    let api: Api;
    const newId = (prefix: string): string => `${prefix}-${randomUUID()}`;
    const send = async (type: string, aggregateId: string, payload: unknown, more = {}): Promise<Answer> =>
      api.send({ type, aggregateId, payload, ...more });
    const accepted = async (type: string, aggregateId: string, payload: unknown): Promise<Answer['body']> => {
      const { status, body } = await send(type, aggregateId, payload);
      expect(status, JSON.stringify(body)).to.equal(200);
      return body;
    };
    const read = async (path: string, version: number): Promise<Answer['body']> => {
      const { status, body } = await api.get(`${path}?minVersion=${version}&wait=10s`);
      expect(status, JSON.stringify(body)).to.equal(200);
      return body;
    };
    const notificationsOf = (recipient: string): readonly string[] =>
      system
        .lines()
        .filter((line) => line.includes('"msg":"notification"') && line.includes(JSON.stringify(recipient)))
        .map((line) => (JSON.parse(line) as { rule: string }).rule);

    before(async () => {
      system = await start();
      api = makeApi(system.url);
    });
    after(() => system.stop());

    it('takes a user from created to inactive, and welcomes it once', async () => {
      const id = newId('u');
      const email = `${id}@example.org`;
      const reply = await accepted('user.create', id, { email, name: 'Ann' });
      expect(reply).to.include({ status: 'accepted', aggregateId: id, version: 1 });
      expect(reply.events).to.have.length(1);
      expect(reply.events[0]).to.include({ type: 'user.created', version: 1 });
      expect(await read(`/users/${id}`, 1)).to.include({ id, email, name: 'Ann', status: 'active', version: 1 });
      await accepted('user.update', id, { name: 'Anna' });
      await accepted('user.deactivate', id, {});
      expect(await read(`/users/${id}`, 3)).to.include({ id, email, name: 'Anna', status: 'inactive', version: 3 });
      await eventually(() => {
        expect(notificationsOf(email)).to.deep.equal(['welcome']);
      });
    });

    it('takes an order from created to delivered, and tells the customer of each step', async () => {
      const customerId = newId('u');
      const email = `${customerId}@example.org`;
      const id = newId('o');
      await accepted('user.create', customerId, { email, name: 'Ann' });
      await accepted('order.create', id, createOrder(customerId));
      await accepted('order.pay', id, { paymentId: 'p-1', amountCents: 2500 });
      await accepted('order.ship', id, { carrier: 'DHL', trackingNumber: 't-1' });
      const { version } = await accepted('order.deliver', id, {});
      expect(await read(`/orders/${id}`, version)).to.deep.include({
        id,
        status: 'delivered',
        customerId,
        currency: 'EUR',
        totalCents: 2500,
        lines: [{ sku: 'book', quantity: 2, unitPriceCents: 1250 }],
        version: 4,
      });
      await eventually(() => {
        expect(notificationsOf(email)).to.have.members(['welcome', 'order-updates', 'order-updates', 'order-updates']);
      });
      const { body } = await api.get(`/streams/order/${id}`);
      expect(
        body.items.map(({ type, version: at }: { type: string; version: number }) => `${at} ${type}`),
      ).to.deep.equal(['1 order.created', '2 order.paid', '3 order.shipped', '4 order.delivered']);
    });

    it('gives read models and statistics that equal a fold of all events, at positions without a hole', async () => {
      const orders = Array.from({ length: 20 }, () => newId('o'));
      await Promise.all(
        orders.map(async (id, at) => {
          await accepted('order.create', id, createOrder('nobody', 100 + at));
          if (at % 2 === 0) await accepted('order.pay', id, { paymentId: 'p', amountCents: 2 * (100 + at) });
          if (at % 4 === 1) await accepted('order.cancel', id, { reason: 'changed my mind' });
        }),
      );
      const events = await api.events();
      expect(events.map(({ position }) => position)).to.deep.equal(events.map((_, at) => at + 1));
      const expected = expectedReadModels(events);
      const head = events.length;
      const statistics = await api.get(`/orders/statistics?afterPosition=${head}&wait=10s`);
      expect(statistics.status, JSON.stringify(statistics.body)).to.equal(200);
      for (const { id, count, totalCents } of statistics.body.items) {
        expect({ count, totalCents }, id).to.deep.equal(expected.statistics[id] ?? { count: 0, totalCents: 0 });
      }
      for (const id of orders) {
        expect(await read(`/orders/${id}`, 1)).to.deep.equal(expected.orders.get(id));
      }
      for (const [id, user] of expected.users) expect(await read(`/users/${id}`, 1)).to.deep.equal(user);
    });

    it('answers a command sent twice with the first answer, and stores it once', async () => {
      const id = newId('u');
      const command = {
        id: newId('c'),
        type: 'user.create',
        aggregateId: id,
        payload: { email: 'a@example.org', name: 'A' },
      };
      const first = await api.send(command);
      const second = await api.send(command);
      expect(first.status).to.equal(200);
      expect(second.body).to.deep.equal(first.body);
      expect((await api.get(`/streams/user/${id}`)).body.items).to.have.length(1);
    });

    it('refuses an id that was accepted for another payload', async () => {
      const id = newId('u');
      const command = {
        id: newId('c'),
        type: 'user.create',
        aggregateId: id,
        payload: { email: 'a@example.org', name: 'A' },
      };
      await api.send(command);
      const { status, body } = await api.send({ ...command, payload: { email: 'b@example.org', name: 'B' } });
      expect(status).to.equal(400);
      expect(body.reply).to.deep.include({ commandId: command.id, status: 'invalid' });
      expect(body.reply.error.code).to.equal('COMMAND_ID_REUSED');
    });

    it('rejects what a rule forbids: 422, and nothing is stored', async () => {
      const id = newId('o');
      await accepted('order.create', id, createOrder('nobody'));
      const { status, body } = await send('order.pay', id, { paymentId: 'p', amountCents: 1 });
      expect(status).to.equal(422);
      expect(body.reply).to.include({ status: 'rejected', aggregateId: id });
      expect((await api.get(`/streams/order/${id}`)).body.items).to.have.length(1);
    });

    it('answers conflict when the expected version is not the actual one', async () => {
      const id = newId('u');
      await accepted('user.create', id, { email: 'a@example.org', name: 'A' });
      const { status, body } = await send('user.update', id, { name: 'B' }, { expectedVersion: 0 });
      expect(status).to.equal(409);
      expect(body.reply).to.include({ status: 'conflict', version: 1 });
      expect((await send('user.update', id, { name: 'B' }, { expectedVersion: 1 })).status).to.equal(200);
    });

    it('accepts a command that changes nothing, with no events', async () => {
      const id = newId('u');
      await accepted('user.create', id, { email: 'a@example.org', name: 'A' });
      expect(await accepted('user.update', id, { name: 'A' })).to.deep.include({ events: [], version: 1 });
    });

    it('refuses bad input with the name of the field, and goes on', async () => {
      const refused = async (body: unknown, field: string): Promise<void> => {
        const answer = await api.post('/commands?wait=5s', body);
        expect(answer.status, JSON.stringify(answer.body)).to.equal(400);
        expect(JSON.stringify(answer.body)).to.include(field);
      };
      const good = { type: 'user.create', aggregateId: newId('u'), payload: { email: 'a@example.org', name: 'A' } };
      await refused('{"type":', 'JSON');
      await refused({ ...good, payload: { email: 'a@example.org' } }, 'payload.name');
      await refused({ ...good, payload: { ...good.payload, age: 3 } }, 'age');
      await refused({ ...good, colour: 'red' }, 'colour');
      await refused({ ...good, type: 'user.explode' }, 'user.explode');
      await refused({ ...good, aggregateId: '' }, 'aggregateId');
      await refused({ ...good, metadata: { mood: 'good' } }, 'mood');
      const large = await api.post('/commands', {
        ...good,
        payload: { email: 'a@example.org', name: 'x'.repeat(300_000) },
      });
      expect(large.status).to.equal(413);
      expect((await api.send(good)).status).to.equal(200);
    });

    it('takes ids with every printable character', async () => {
      const id = `$where/a.b c?ü✓%41#${randomUUID()}`;
      await accepted('user.create', id, { email: 'a@example.org', name: 'A' });
      expect(await read(`/users/${encodeURIComponent(id)}`, 1)).to.include({ id, name: 'A' });
      const stream = await api.get(`/streams/user/${encodeURIComponent(id)}`);
      expect(stream.body.items[0]).to.include({ aggregateId: id });
    });

    it('decides commands of one aggregate in the order in which they were posted', async () => {
      const id = newId('u');
      await accepted('user.create', id, { email: 'a@example.org', name: '0' });
      for (let n = 1; n <= 30; n += 1) {
        const { status } = await api.post('/commands', {
          type: 'user.update',
          aggregateId: id,
          payload: { name: String(n) },
        });
        expect(status).to.equal(202);
      }
      expect(await read(`/users/${id}`, 31)).to.include({ name: '30' });
      const { body } = await api.get(`/streams/user/${id}`);
      expect(body.items.map(({ payload }: { payload: { name: string } }) => payload.name)).to.deep.equal(
        Array.from({ length: 31 }, (_, n) => String(n)),
      );
    });

    it('says that it is alive and ready, and describes itself', async () => {
      expect((await api.get('/healthz')).status).to.equal(200);
      expect((await api.get('/readyz')).status).to.equal(200);
      expect((await api.get('/metrics')).body).to.include('warren_ready');
      expect((await api.get('/openapi.json')).body).to.have.nested.property('paths./commands');
    });
  });
};
