import { expect } from 'chai';
import { eventsInArray } from '../http/http-fixture.js';
import { makeCli, realUrls } from './cli-fixture.js';

const { RABBITMQ_URL, MONGODB_URL } = realUrls;

const commands = [
  ['state', 'user', 'u-1'],
  ['events', 'check'],
  ['events', '--limit', '5'],
] as const;

describe('warren commands that read the store', () => {
  for (const command of commands) {
    const title = command.join(' ');

    it(`${title}: needs MONGODB_URL and no broker`, async () => {
      const asked: string[] = [];
      const connectEventStore = async (url: string) => {
        asked.push(url);
        return { ...eventsInArray([]), close: async () => undefined };
      };
      const { run, bus } = makeCli({ MONGODB_URL }, { connectEventStore });
      expect((await run(...command)).err).not.to.include('RABBITMQ_URL');
      expect([asked, bus.calls]).to.deep.equal([[MONGODB_URL], []]);
    });

    it(`${title}: says in a sentence that MONGODB_URL is missing or wrong, and how it looks: exit 78`, async () => {
      for (const url of ['', 'http://x']) {
        const { exitCode, out, err } = await makeCli({ RABBITMQ_URL, MONGODB_URL: url }).run(...command);
        expect([exitCode, out, err.trim().split('\n').length]).to.deep.equal([78, '', 1]);
        expect(err).to.match(/^MONGODB_URL: .*mongodb:\/\//);
      }
    });

    it(`${title}: says in its help what it needs`, async () => {
      const { out } = await makeCli().run(...command.slice(0, command[1] === 'check' ? 2 : 1), '--help');
      expect(out).to.include('Needs MONGODB_URL');
    });
  }

  it('state and events check cannot ask an embedded process: exit 78, naming MONGODB_URL', async () => {
    for (const command of commands.slice(0, 2)) {
      const { exitCode, err } = await makeCli().run(...command);
      expect([exitCode, err.includes('MONGODB_URL: not set; set it to')]).to.deep.equal([78, true]);
    }
  });
});
