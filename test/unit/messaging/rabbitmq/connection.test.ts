import { expect } from 'chai';
import type { Connect, OpenConnection, OnBlocked } from '../../../../src/messaging/rabbitmq/connect.js';
import { makeConnection, type BrokerConnection } from '../../../../src/messaging/rabbitmq/connection.js';
import { makeOutage } from '../../../../src/messaging/rabbitmq/outage.js';
import { eventually } from '../../../helpers/eventually.js';
import { makeRecordingLog } from '../../../helpers/recording-log.js';
import { fakeOpenConnection } from './fake-connection.js';

const hostNamed = (name: string) => ({ url: `amqp://${name}`, name, vhost: '/' });
const refusal = new Error('Handshake terminated by server: 403 (ACCESS-REFUSED)');
const away = new Error('connect ECONNREFUSED');

describe('RabbitMQ connection loop', () => {
  const opened: BrokerConnection[] = [];
  afterEach(() => Promise.all(opened.splice(0).map((connection) => connection.close())));

  /** `answers`: what each try gives, the last one again and again. */
  const start = (
    answers: readonly (Error | OpenConnection | Promise<OpenConnection>)[],
    {
      hosts = ['a'],
      setUp = async () => undefined,
      setUpLimitMs,
    }: {
      readonly hosts?: readonly string[];
      readonly setUp?: () => Promise<void>;
      readonly setUpLimitMs?: number;
    } = {},
  ) => {
    const { log, lines } = makeRecordingLog();
    const tried: string[] = [];
    const events: string[] = [];
    let tell: OnBlocked = () => undefined;
    let aborted = false;
    const connect: Connect = async (host, signal, onBlocked) => {
      const answer = answers[Math.min(tried.length, answers.length - 1)];
      tried.push(host.name);
      tell = onBlocked;
      signal.addEventListener('abort', () => (aborted = true));
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error('no answer was set up');
      return Promise.race([
        answer,
        new Promise<never>((_, reject) => {
          signal.addEventListener('abort', () => {
            reject(new Error('aborted'));
          });
        }),
      ]);
    };
    const connection = makeConnection({
      hosts: hosts.map(hostNamed),
      connect,
      log,
      outage: makeOutage(),
      now: () => new Date(1000),
      setUp,
      ...(setUpLimitMs === undefined ? {} : { setUpLimitMs }),
      onReconnect: () => events.push('reconnect'),
      onBlocked: (blocked) => events.push(blocked ? 'blocked' : 'unblocked'),
    });
    opened.push(connection);
    const blocked = (reason: string | null): void => {
      tell(reason);
    };
    return { connection, tried, events, lines, blocked, isAborted: () => aborted };
  };

  it('tries each host once before it waits', async () => {
    const { open } = fakeOpenConnection();
    const startedAt = performance.now();
    const { connection, tried } = start([away, away, open], { hosts: ['a', 'b', 'c'] });
    expect(await connection.up()).to.equal(open.model);
    expect([...tried].sort()).to.deep.equal(['a', 'b', 'c']);
    expect(performance.now() - startedAt).to.be.below(90);
  });

  it('calls it refused when a host refused, once each of them was asked, and says each reason once', async () => {
    const { connection, tried, lines } = start([refusal, away, refusal, away], { hosts: ['a', 'b'] });
    await eventually(() => {
      expect(tried).to.have.length(1);
    });
    const early = connection.trouble();
    expect(early === null || !early.refused, JSON.stringify(early)).to.equal(true);
    await eventually(() => {
      expect(tried.length).to.be.at.least(4);
      expect(connection.trouble()).to.deep.equal({ text: 'the broker refuses user or password', refused: true });
    });
    expect(lines).to.have.length(2);
  });

  it('forgets its trouble when it is up, and names the next one', async () => {
    const first = fakeOpenConnection();
    const { connection } = start([refusal, first.open, away]);
    await connection.up();
    expect([connection.trouble(), connection.upSince()]).to.deep.equal([null, 1000]);
    first.end(new Error('it does not answer any more'));
    await eventually(() => {
      expect(connection.trouble()).to.deep.equal({ text: 'connect ECONNREFUSED', refused: false });
    });
    expect([connection.isUp(), connection.upSince()]).to.deep.equal([false, null]);
  });

  it('is blocked when the broker says so, be it before it is in service, and until it says otherwise', async () => {
    const { open } = fakeOpenConnection();
    let goOn = (): void => undefined;
    const setUp = () => new Promise<void>((resolve) => (goOn = resolve));
    const { connection, events, blocked, tried } = start([open], { setUp });
    connection.onUnblocked(() => events.push('listener'));
    await eventually(() => {
      expect(tried).to.have.length(1);
    });
    blocked('low on memory');
    await eventually(() => {
      goOn();
      expect(connection.isUp()).to.equal(true);
    });
    expect(connection.isBlocked()).to.equal(true);
    blocked(null);
    expect(connection.isBlocked()).to.equal(false);
    expect(events).to.deep.equal(['blocked', 'unblocked', 'listener']);
  });

  it('is not blocked any more when the blocked connection is lost', async () => {
    const [first, second] = [fakeOpenConnection(), fakeOpenConnection()];
    const { connection, events, blocked } = start([first.open, second.open]);
    await connection.up();
    blocked('low on disk');
    first.end(new Error('gone'));
    await eventually(async () => {
      expect(await connection.up()).to.equal(second.open.model);
    });
    expect(connection.isBlocked()).to.equal(false);
    expect(events).to.deep.equal(['blocked', 'unblocked', 'reconnect']);
  });

  it('closes at once while it connects', async () => {
    const { connection, tried, isAborted } = start([new Promise(() => undefined)]);
    await eventually(() => {
      expect(tried).to.have.length(1);
    });
    const waiting = connection.up();
    await connection.close();
    expect(isAborted()).to.equal(true);
    expect(await waiting).to.equal(null);
  });

  it('closes while it sets a connection up that does not answer', async () => {
    const fake = fakeOpenConnection();
    let settingUp = false;
    const setUp = async () => {
      settingUp = true;
      throw await fake.open.gone;
    };
    const { connection } = start([fake.open], { setUp });
    await eventually(() => {
      expect(settingUp).to.equal(true);
    });
    await connection.close();
    expect(fake.calls[0]).to.equal('destroy');
  });

  it('sets nothing up when it is closed in the moment it has connected', async () => {
    const fake = fakeOpenConnection();
    let arrive: (open: OpenConnection) => void = () => undefined;
    let setUps = 0;
    const { connection, tried } = start([new Promise((resolve) => (arrive = resolve))], {
      setUp: () => {
        setUps += 1;
        return new Promise(() => undefined);
      },
    });
    await eventually(() => {
      expect(tried).to.have.length(1);
    });
    arrive(fake.open);
    await connection.close();
    expect([setUps, fake.calls]).to.deep.equal([0, ['close']]);
  });

  it('gives a connection up that it could not set up, and tries again', async () => {
    const [first, second] = [fakeOpenConnection(), fakeOpenConnection()];
    let tries = 0;
    const setUp = async () => {
      tries += 1;
      if (tries === 1) throw new Error('queue in state stopped');
    };
    const { connection } = start([first.open, second.open], { setUp });
    expect(await connection.up()).to.equal(second.open.model);
    expect(first.calls).to.deep.equal(['close']);
  });

  it('cuts a connection off whose set-up hangs, and tries again', async () => {
    const [first, second] = [fakeOpenConnection({ answers: false }), fakeOpenConnection()];
    let tries = 0;
    const setUp = () => {
      tries += 1;
      return tries === 1 ? new Promise<void>(() => undefined) : Promise.resolve();
    };
    const { connection, lines } = start([first.open, second.open], { setUp, setUpLimitMs: 20 });
    await eventually(() => {
      expect(first.calls[0]).to.equal('destroy');
    });
    first.open.model.emit('close');
    expect(await connection.up()).to.equal(second.open.model);
    expect(JSON.stringify(lines)).to.include('could not set the connection up within 20 ms');
  });
});
