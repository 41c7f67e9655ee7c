import { expect } from 'chai';
import { Writable } from 'node:stream';
import { makeHttpEventSource } from '../../../src/cli/embedded-client.js';
import { eventLine, printEvents, type EventSource } from '../../../src/cli/events.js';
import { makePrinter } from '../../../src/cli/output.js';
import type { RecordedEvent } from '../../../src/core/message.js';
import { makeApp } from '../../../src/http/app.js';
import { eventRoutes } from '../../../src/http/events.js';
import { makeLogger } from '../../../src/logger.js';
import { WarrenError } from '../../../src/errors.js';
import { eventually } from '../../helpers/eventually.js';
import { domainIndex, eventAt, eventsInArray } from '../http/http-fixture.js';
import { makeCli, realUrls } from './cli-fixture.js';

const line = (position: number) => `${eventLine(eventAt(position))}\n`;

/** A source that reads as `readAll` does; what it is told to ring is in `bells`. */
const sourceOf = (
  events: readonly RecordedEvent[],
  readAll: EventSource['readAll'] = eventsInArray(events).readAll,
  bells: (() => void)[] = [],
): EventSource => ({
  readAll,
  headPosition: eventsInArray(events).headPosition,
  bellFor: () => (ring) => {
    bells.push(ring);
    return { stop: async () => undefined };
  },
});

const storeOf = (events: readonly RecordedEvent[], calls: string[] = []) => ({
  connectEventStore: async () => ({
    ...eventsInArray(events),
    close: async () => {
      calls.push('close');
    },
  }),
});

describe('warren events', () => {
  const three = [eventAt(1), eventAt(2, { type: 'user.updated', version: 2 }), eventAt(3, { aggregateId: 'u-2' })];

  it('prints one line an event: position, time, type, stream@version, payload; then closes the store', async () => {
    const calls: string[] = [];
    const result = await makeCli(realUrls, storeOf([eventAt(7)], calls)).run('events', '--after', '6');
    const payload = '{"email":"ann@example.org","name":"Ann"}';
    expect(result).to.deep.equal({
      exitCode: 0,
      out: `7 2026-01-31T12:00:00.000Z user.created user/u-1@1 ${payload}\n`,
      err: '',
    });
    expect(calls).to.deep.equal(['close']);
  });

  it('selects by position and type, and ends at the limit', async () => {
    const positions = async (...args: string[]) => {
      const { out } = await makeCli(realUrls, storeOf(three)).run('events', ...args);
      return out.split('\n').flatMap((text) => (text === '' ? [] : [Number(text.split(' ')[0])]));
    };
    expect(await positions('--after', '1')).to.deep.equal([2, 3]);
    expect(await positions('--type', 'user.created')).to.deep.equal([1, 3]);
    expect(await positions('--type', 'user.created,user.updated', '--limit', '2')).to.deep.equal([1, 2]);
    expect(await positions('--limit', '0')).to.deep.equal([]);
  });

  it('prints whole events with --json', async () => {
    const { out } = await makeCli(realUrls, storeOf([eventAt(1)])).run('events', '--json');
    expect(JSON.parse(out)).to.deep.equal({ ...eventAt(1), timestamp: '2026-01-31T12:00:00.000Z' });
  });

  it('exits 65 at a hole that is stored, naming the positions, after what is before it', async () => {
    const { run } = makeCli(realUrls, storeOf([eventAt(1), eventAt(3), eventAt(4)]));
    for (const options of [[], ['--follow']]) {
      const { exitCode, out, err } = await run('events', ...options);
      expect([exitCode, out]).to.deep.equal([65, line(1)]);
      expect(err).to.include('After position 1 the store gave position 3');
    }
    expect(await run('events', '--after', '1')).to.include({ exitCode: 65, out: '' });
    expect(await run('events', '--after', '2')).to.include({ exitCode: 0, out: line(3) + line(4) });
    expect(await run('events', '--type', 'user.created')).to.include({ exitCode: 0, err: '' });
  });

  it('calls an unknown type or a limit that is no number wrong usage: exit 64', async () => {
    const { run } = makeCli(realUrls, storeOf(three));
    expect(await run('events', '--type', 'user.flown')).to.include({ exitCode: 64, out: '' });
    expect(await run('events', '--limit', 'many')).to.include({ exitCode: 64, out: '' });
  });

  it('exits 69 when the store is away', async () => {
    const connectEventStore = () => Promise.reject(new WarrenError('STORE_UNAVAILABLE', 'MongoDB is away'));
    const result = await makeCli(realUrls, { connectEventStore }).run('events');
    expect(result).to.deep.equal({ exitCode: 69, out: '', err: 'MongoDB is away\n' });
  });

  it('reads page after page over HTTP in embedded mode', async () => {
    const many = Array.from({ length: 1201 }, (_, index) => eventAt(index + 1));
    const routes = eventRoutes({ domains: domainIndex, eventStore: eventsInArray(many) });
    const app = makeApp({ log: makeLogger('silent'), routes, maxBodyBytes: 1024 });
    const port = new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port;
    try {
      const source = makeHttpEventSource(`http://127.0.0.1:${port}`);
      let last = 0;
      for await (const event of source.readAll({ limit: 600 })) last = event.position;
      expect(last).to.equal(600);
      for await (const event of source.readAll({ toPosition: 700, types: ['user.created'] })) last = event.position;
      expect(last).to.equal(700);
      expect(await source.headPosition()).to.equal(1201);
      const { run } = makeCli({ HTTP_PORT: port });
      expect((await run('events')).out).to.equal(many.map((event) => line(event.position)).join(''));
      expect((await run('events', '--limit', '600', '--after', '1', '--type', 'user.created')).out).to.equal(
        many
          .slice(1, 601)
          .map((event) => line(event.position))
          .join(''),
      );
    } finally {
      await app.close();
    }
  });
});

describe('warren events --follow', () => {
  const noBus = {
    declare: () => Promise.reject(new Error('following declares nothing')),
    publish: () => Promise.reject(new Error('following publishes nothing')),
    request: () => Promise.reject(new Error('following asks nothing')),
    openQueue: () => Promise.reject(new Error('following opens nothing')),
    countOf: () => Promise.reject(new Error('following counts nothing')),
    health: () => {
      throw new Error('following looks at nothing');
    },
  };

  const follow = (source: EventSource, stop: AbortController, options: { limit?: number } = {}) => {
    const printed: string[] = [];
    const complaints: string[] = [];
    const done = printEvents(
      source,
      { follow: true, after: 0, ...options },
      {
        eventTypes: [],
        show: (event) => [event],
        interrupted: () => stop.signal,
        print: async (text) => {
          printed.push(text);
          return true;
        },
        complain: (text) => complaints.push(text),
      },
    );
    return { printed, complaints, done };
  };

  it('goes on with new events, each once, until it is interrupted', async () => {
    const events = [eventAt(1)];
    const stop = new AbortController();
    const { printed, done } = follow(sourceOf(events), stop);
    await eventually(() => {
      expect(printed).to.deep.equal([line(1)]);
    });
    events.push(eventAt(2));
    await eventually(() => {
      expect(printed).to.deep.equal([line(1), line(2)]);
    });
    stop.abort();
    await done;
  });

  it('listens to the broker for events of the types asked for, and closes the bus at the end', async () => {
    const stop = new AbortController();
    const events = [eventAt(1)];
    const calls: unknown[] = [];
    let ring = (): void => undefined;
    const { run } = makeCli(realUrls, {
      ...storeOf(events),
      interrupted: () => stop.signal,
      makeBus: () => ({
        ...noBus,
        listen: (exchange, patterns, given) => {
          calls.push(exchange, patterns);
          ring = given;
          return { stop: async () => undefined };
        },
        close: async () => {
          calls.push('close');
        },
      }),
    });
    const done = run('events', '--follow', '--type', 'user.created');
    await eventually(() => {
      expect(calls).to.deep.equal(['events', ['user.created']]);
    });
    events.push(eventAt(2, { type: 'user.updated' }), eventAt(3));
    ring();
    stop.abort();
    expect((await done).exitCode).to.equal(0);
    expect(calls.slice(2)).to.deep.equal(['close']);
  });

  it('follows without a broker where there is no RABBITMQ_URL', async () => {
    const stop = new AbortController();
    const events = [eventAt(1)];
    const printed: string[] = [];
    const stdout = new Writable({
      write(chunk, _encoding, done) {
        printed.push(String(chunk));
        done();
      },
    });
    const makeBus = () => {
      throw new Error('there is no broker');
    };
    const overrides = { ...storeOf(events), interrupted: () => stop.signal, makeBus, stdout };
    const done = makeCli({ MONGODB_URL: realUrls.MONGODB_URL }, overrides).run('events', '--follow');
    await eventually(() => {
      expect(printed).to.deep.equal([line(1)]);
    });
    events.push(eventAt(2));
    await eventually(() => {
      expect(printed).to.deep.equal([line(1), line(2)]);
    });
    stop.abort();
    expect(await done).to.include({ exitCode: 0, err: '' });
  });

  it('refuses a wrong RABBITMQ_URL before it prints anything; without --follow nobody asks for it', async () => {
    const { run } = makeCli({ ...realUrls, RABBITMQ_URL: 'http://x' }, storeOf([eventAt(1)]));
    const { exitCode, out, err } = await run('events', '--follow');
    expect([exitCode, out]).to.deep.equal([78, '']);
    expect(err).to.include('RABBITMQ_URL');
    expect(await run('events')).to.include({ exitCode: 0, out: line(1) });
  });

  it('ends by itself at the limit', async () => {
    const { printed, done } = follow(sourceOf([eventAt(1), eventAt(2)]), new AbortController(), { limit: 1 });
    await done;
    expect(printed).to.deep.equal([line(1)]);
  });

  it('outlives an outage, and says so once', async () => {
    const events = [eventAt(1), eventAt(2)];
    const stop = new AbortController();
    let looks = 0;
    const readAll: EventSource['readAll'] = async function* (options) {
      looks += 1;
      if (looks === 2 || looks === 3) throw new WarrenError('STORE_UNAVAILABLE', 'Away');
      yield* eventsInArray(events).readAll({ ...options, toPosition: looks });
    };
    const { printed, complaints, done } = follow(sourceOf(events, readAll), stop);
    await eventually(() => {
      expect(printed).to.deep.equal([line(1), line(2)]);
    });
    expect(complaints).to.deep.equal(['Away; waiting for it to come back']);
    stop.abort();
    await done;
  });

  it('ends quietly when nobody reads any more', async () => {
    const closed = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      },
    });
    const print = makePrinter(closed);
    await printEvents(
      sourceOf([eventAt(1), eventAt(2)]),
      { follow: true, after: 0 },
      {
        eventTypes: [],
        show: (event) => [event],
        interrupted: () => new AbortController().signal,
        print,
        complain: () => undefined,
      },
    );
    expect(await print('more')).to.equal(false);
  });
});
