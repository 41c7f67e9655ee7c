import { expect } from 'chai';
import { MongoClient } from 'mongodb';
import { eventually } from './eventually.js';
import { createdUsers, parkRenames, waitingIn } from './parked-commands.js';
import { startScript } from './processes.js';
import { useServices } from './services.js';
import { expectSoundStore, queuesWithMessages, storedEvents } from './stored-system.js';
import { useProcesses } from './used-processes.js';

/** A turn of a replay at the rate of the helper. */
const turn = 100;
const parked = 'commands.parked';

/** Kills a replay of so many parked commands twice, and lets the third come to its end. */
export const describeReplayKill = (count: number, timeoutMs: number): void => {
  describe(`a replay of ${count} parked commands, killed`, function () {
    this.timeout(timeoutMs);
    const services = useServices();
    const processes = useProcesses();
    const replay = ['parked', 'replay', 'commands', '--all', '--rate', String(count)];
    let names: readonly string[];
    let mongo: MongoClient;
    before(async () => {
      mongo = await new MongoClient(services.mongodbUrl).connect();
      names = await parkRenames(services, count);
    });
    after(() => mongo.close());

    it('between confirms and acks: what was sent is in both queues, nothing is lost', async () => {
      const args = ['replay', 'after-confirm', '3'];
      const killed = startScript('test/helpers/killed-operator.ts', args, services.environment);
      expect(await killed.ended).to.equal('SIGKILL');
      await eventually(async () => {
        expect(await waitingIn(services, parked)).to.equal(count - 2 * turn);
      });
      expect(await waitingIn(services, 'commands')).to.equal(createdUsers + 3 * turn);
    });

    it('in the middle, and started again: it comes to its end, and nothing is parked any more', async () => {
      const killed = processes.start(replay, services.environment);
      await eventually(
        async () => {
          expect(await waitingIn(services, 'commands')).to.be.greaterThan(count / 2);
        },
        { withinMs: timeoutMs, everyMs: 5 },
      );
      killed.kill('SIGKILL');
      expect(await killed.ended).to.equal('SIGKILL');
      const again = processes.start(replay, services.environment);
      expect(await again.ended, again.lines.join('\n')).to.equal(0);
      expect(again.lines.at(-1)).to.match(/^[1-9]\d* messages replayed to commands, 0 left$/);
      expect(await waitingIn(services, parked)).to.equal(0);
      expect(await waitingIn(services, 'commands')).to.be.at.least(createdUsers + count + turn);
    });

    it('and each command takes effect once', async () => {
      const worker = await processes.startReady(['command-worker'], services.environment);
      await eventually(
        async () => {
          expect((await queuesWithMessages(services)).filter((name) => name.startsWith('commands'))).to.deep.equal([]);
          expect(await mongo.db().collection('events').countDocuments()).to.equal(createdUsers + count);
        },
        { withinMs: timeoutMs, everyMs: 100 },
      );
      // Settles what it has in hand: whatever was sent twice is through.
      expect(await worker.stop()).to.equal(0);
      const events = await storedEvents(mongo.db());
      expectSoundStore(events);
      const given = events.map(({ payload }) => (payload as { readonly name: string }).name);
      expect(given.filter((name) => name !== 'first')).to.have.members(names);
      expect(await waitingIn(services, parked)).to.equal(0);
    });
  });
};
