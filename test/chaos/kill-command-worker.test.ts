import { expect } from 'chai';
import { MongoClient, type Db } from 'mongodb';
import { eventually } from '../helpers/eventually.js';
import { makeOutsideClient } from '../helpers/outside-client.js';
import { startScript, startWarren } from '../helpers/processes.js';
import { useServices } from '../helpers/services.js';

const places = ['after-append', 'after-publish', 'before-ack'] as const;

/** 60 commands on 20 users; what they give when each takes effect once. */
const commands = Array.from({ length: 20 }, (_, n) => [
  {
    id: `create-${n}`,
    type: 'user.create',
    aggregateId: `u-${n}`,
    payload: { email: `u-${n}@example.org`, name: 'A' },
  },
  { id: `rename-${n}`, type: 'user.update', aggregateId: `u-${n}`, payload: { name: 'B' } },
  { id: `again-${n}`, type: 'user.update', aggregateId: `u-${n}`, payload: { name: 'A' } },
]).flat();

for (const place of places) {
  describe(`a command worker killed ${place}`, function () {
    this.timeout(90_000);
    const services = useServices();
    let mongo: MongoClient;
    let db: Db;
    before(async () => {
      mongo = await new MongoClient(services.mongodbUrl).connect();
      db = mongo.db();
    });
    after(() => mongo.close());

    it('doubles no command, loses no event, and answers each command', async () => {
      const environment = { ...services.environment, WARREN_RELAY_OLDER_THAN_MS: '1000', WARREN_RELAY_EVERY_MS: '200' };
      const killed = startScript('test/helpers/killed-command-worker.ts', [place], environment);
      await killed.ready;
      const client = makeOutsideClient(services);
      const events = await client.collect('outside.events', { exchange: 'events', pattern: '#' });
      const replies = await client.collect('outside.replies');
      const roles = ['command-worker', 'projection-worker', 'relay'];
      try {
        for (const command of commands) {
          await client.publish('commands', JSON.stringify(command), { reply_to: 'outside.replies' });
        }
        expect(await killed.ended).to.equal('SIGKILL');
        const processes = roles.map((role) => startWarren([role], environment));
        try {
          await eventually(
            async () => {
              const users = await db.collection('users').find({ version: 3, name: 'A' }).toArray();
              expect(users.length).to.equal(20);
              expect(await db.collection('outbox').countDocuments()).to.equal(0);
              const answered = replies.messages.map(({ body }) => body['commandId']);
              expect([...new Set(answered)]).to.have.members(commands.map(({ id }) => id));
            },
            { withinMs: 45_000, everyMs: 100 },
          );
        } finally {
          await Promise.all(processes.map((each) => each.stop()));
        }
        const stored = await db.collection('events').find().sort({ _id: 1 }).toArray();
        expect(stored.map(({ _id }) => _id as unknown)).to.deep.equal(commands.map((_, at) => at + 1));
        const causes = stored.map(({ metadata }) => (metadata as { commandId: string }).commandId);
        expect(causes).to.have.members(commands.map(({ id }) => id));
        await eventually(() => {
          const published = new Set(events.messages.map(({ properties }) => properties['messageId']));
          expect([...published]).to.have.members(stored.map(({ eventId }) => eventId as unknown));
        });
        for (const { body } of replies.messages) expect(body['status']).to.equal('accepted');
      } finally {
        killed.kill('SIGKILL');
        await events.close();
        await replies.close();
      }
    });
  });
}
