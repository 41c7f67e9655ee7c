import { expect } from 'chai';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { makeBusSender } from '../../../src/cli/bus-sender.js';
import { WarrenError } from '../../../src/errors.js';
import { domainIndex } from '../http/http-fixture.js';
import { makeCli, realUrls } from './cli-fixture.js';

const create = ['send', 'user.create', 'u-1', '{"email":"ann@example.org","name":"Ann"}'];

describe('warren send, real mode', () => {
  it('declares the topology, publishes with confirm, prints the answer and closes', async () => {
    const { run, bus } = makeCli(realUrls);
    const result = await run(...create);
    expect(result).to.deep.equal({ exitCode: 0, out: '{"commandId":"made-id","status":"queued"}\n', err: '' });
    expect(bus.calls).to.deep.equal(['declare', 'publish', 'close']);
    expect(bus.messages[0]).to.include({ exchange: 'commands', routingKey: 'user.create' });
  });

  it('puts every option into the command', async () => {
    const { run, bus } = makeCli(realUrls);
    await run(...create, '--id', 'c-9', '--expected-version', '0', '--actor', 'bob', '--correlation-id', 'k-1');
    expect(JSON.parse(String(bus.messages[0]?.body))).to.deep.equal({
      id: 'c-9',
      type: 'user.create',
      aggregateId: 'u-1',
      payload: { email: 'ann@example.org', name: 'Ann' },
      expectedVersion: 0,
      metadata: { actor: 'bob', correlationId: 'k-1' },
    });
  });

  for (const [status, exitCode] of [
    ['accepted', 0],
    ['rejected', 1],
    ['conflict', 1],
    ['invalid', 1],
  ] as const) {
    it(`waits for the reply with --wait, prints it and exits ${exitCode} when it is ${status}`, async () => {
      const { run, bus } = makeCli(realUrls);
      bus.reply = async () => Buffer.from(JSON.stringify({ commandId: 'made-id', status }));
      const result = await run(...create, '--wait=2s');
      expect(result).to.include({ exitCode, out: `{"commandId":"made-id","status":"${status}"}\n` });
      expect(bus.calls).to.deep.equal(['declare', 'request 2000', 'close']);
    });
  }

  it('waits ten seconds where --wait has no duration', async () => {
    const { run, bus } = makeCli(realUrls);
    bus.reply = async () => Buffer.from('{"status":"accepted"}');
    await run(...create, '--wait');
    expect(bus.calls).to.include('request 10000');
  });

  it('refuses what a worker would park, without a connection', async () => {
    const { run, bus } = makeCli(realUrls);
    const result = await run('send', 'user.create', 'u-1', '{"name":"Ann"}');
    expect(result.exitCode).to.equal(1);
    expect(JSON.parse(result.out)).to.nested.include({ status: 'invalid', 'error.code': 'SCHEMA' });
    expect(bus.calls).to.deep.equal([]);
  });

  it('exits 69 and names the id to repeat when the broker does not confirm or no reply comes', async () => {
    const { run, bus } = makeCli(realUrls);
    bus.outcome = 'unknown';
    bus.reply = () => Promise.reject(new WarrenError('REQUEST_TIMEOUT', 'late'));
    for (const result of [await run(...create), await run(...create, '--wait=1s')]) {
      expect(result).to.include({ exitCode: 69, out: '' });
      expect(result.err).to.include('--id made-id');
    }
    expect(bus.calls.filter((call) => call === 'close')).to.have.length(2);
  });

  it('exits 78 at once when the broker refuses us, with its reason, and closes', async () => {
    const { run, bus } = makeCli(realUrls);
    bus.declare = () => new Promise(() => undefined);
    bus.reason = { text: 'the broker refuses user or password', refused: true };
    const result = await run(...create);
    expect([result.exitCode, result.out]).to.deep.equal([78, '']);
    expect(result.err).to.include('the broker refuses user or password; check RABBITMQ_URL');
    expect(bus.calls).to.deep.equal(['declare', 'close']);
  });

  it('exits 69 when the broker is away, and still closes', async () => {
    const { run, bus } = makeCli(realUrls);
    bus.declare = () => Promise.reject(new WarrenError('BROKER_UNAVAILABLE', 'The broker is away'));
    expect(await run(...create)).to.deep.equal({ exitCode: 69, out: '', err: 'The broker is away\n' });
    expect(bus.calls).to.deep.equal(['declare', 'close']);
  });
});

describe('makeBusSender', () => {
  it('gives up on a broker that does not answer, and closes the bus', async () => {
    const calls: string[] = [];
    const send = makeBusSender({
      makeBus: () => ({
        declare: () => new Promise(() => undefined),
        publish: async () => [],
        request: async () => Buffer.alloc(0),
        health: () => ({
          status: 'down',
          reason: { text: 'connect ECONNREFUSED 127.0.0.1:1', refused: false },
          blocked: false,
          unconfirmed: 0,
          consumers: [],
        }),
        close: async () => void calls.push('close'),
      }),
      topology: { queues: [], exchanges: [], bindings: [] },
      domains: domainIndex,
      newId: () => 'made-id',
      now: () => new Date(0),
      maxMessageBytes: 1024,
      connectTimeoutMs: 20,
    });
    const draft = { id: 'c-1', type: 'user.deactivate', aggregateId: 'u-1', payload: {} };
    const error: unknown = await send(draft, null).catch((thrown: unknown) => thrown);
    expect(error).to.include({ code: 'BROKER_UNAVAILABLE' });
    expect((error as Error).message).to.include('ECONNREFUSED');
    expect(calls).to.deep.equal(['close']);
  });
});

describe('warren send, arguments', () => {
  for (const [name, args] of [
    ['a payload that is not JSON', ['send', 'user.create', 'u-1', '{']],
    ['a missing payload', ['send', 'user.create', 'u-1']],
    ['a negative version', [...create, '--expected-version=-1']],
    ['a wait that is no duration', [...create, '--wait=soon']],
    ['an endless wait', [...create, '--wait=31s']],
    ['an unknown option', [...create, '--now']],
  ] as const) {
    it(`calls ${name} wrong usage: exit 64`, async () => {
      const { run, bus } = makeCli(realUrls);
      const result = await run(...args);
      expect([result.exitCode, result.out]).to.deep.equal([64, '']);
      expect(result.err).to.match(/^error: /);
      expect(bus.calls).to.deep.equal([]);
    });
  }
});

describe('warren send, embedded mode', () => {
  /** Answers every request with one status and body; gives what it was asked. */
  const withServer = async (
    answer: { status: number; body: unknown },
    use: (environment: NodeJS.ProcessEnv, asked: { url: string; body: string }[]) => Promise<void>,
  ) => {
    const asked: { url: string; body: string }[] = [];
    const server = createServer((request: IncomingMessage, response: ServerResponse) => {
      let body = '';
      request.on('data', (chunk) => (body += String(chunk)));
      request.on('end', () => {
        asked.push({ url: request.url ?? '', body });
        response.writeHead(answer.status, { connection: 'close' });
        response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      await use({ HTTP_PORT: String(port), HTTP_HOST: '0.0.0.0' }, asked);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  };

  it('posts to the running process and prints its answer', async () => {
    const answer = { status: 200, body: { commandId: 'made-id', status: 'accepted' } };
    await withServer(answer, async (environment, asked) => {
      const result = await makeCli(environment).run(...create, '--wait=2s');
      expect(result).to.deep.equal({ exitCode: 0, out: `${JSON.stringify(answer.body)}\n`, err: '' });
      expect(asked[0]?.url).to.equal('/commands?wait=2000ms');
      expect(JSON.parse(asked[0]?.body ?? '')).to.include({ id: 'made-id', type: 'user.create' });
    });
  });

  it('prints the reply out of a problem and exits 1', async () => {
    const reply = { commandId: 'made-id', status: 'rejected' };
    await withServer({ status: 422, body: { status: 422, detail: 'No', reply } }, async (environment) => {
      const result = await makeCli(environment).run(...create, '--wait');
      expect(result).to.deep.equal({ exitCode: 1, out: `${JSON.stringify(reply)}\n`, err: '' });
    });
  });

  it('exits 69 when the process cannot answer, with the id to repeat', async () => {
    await withServer({ status: 504, body: { status: 504, detail: 'No reply' } }, async (environment) => {
      const result = await makeCli(environment).run(...create, '--wait');
      expect(result).to.deep.equal({ exitCode: 69, out: '', err: 'No reply (id made-id)\n' });
    });
  });

  it('says that nothing answers there, or nothing of ours, and what to do: exit 69', async () => {
    const nothing = await makeCli({ HTTP_PORT: '1' }).run(...create);
    expect(nothing.exitCode).to.equal(69);
    expect(nothing.err).to.match(/^Nothing answers at http:\/\/127.0.0.1:1; start Warren there/);
    await withServer({ status: 200, body: '<html>' }, async (environment) => {
      const other = await makeCli(environment).run(...create);
      expect(other.exitCode).to.equal(69);
      expect(other.err).to.include('is not Warren');
    });
  });
});
