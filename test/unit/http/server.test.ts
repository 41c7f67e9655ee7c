import { expect } from 'chai';
import { createServer, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { z } from 'zod';
import { makeApp } from '../../../src/http/app.js';
import { defineRoute, type Answer } from '../../../src/http/route.js';
import { makeHealthServer } from '../../../src/http/server.js';
import { makeLogger, type Logger } from '../../../src/logger.js';
import { eventually } from '../../helpers/eventually.js';
import { makeFixture } from './http-fixture.js';

const log = makeLogger('silent');
const isAlive = () => ({ stuck: [], eventLoopDelayMs: 0 });
const isReady = () => ({ ready: true, degraded: false, detail: {} });
const metrics = async () => ({ contentType: 'text/plain; version=0.0.4', body: 'warren_up 1\n' });

const routeOf = (handle: (signal: AbortSignal) => Promise<Answer>) =>
  defineRoute({
    method: 'GET',
    path: '/slow',
    operationId: 'slow',
    summary: 'Slow',
    tag: 'test',
    pathParameters: z.strictObject({}),
    queryParameters: z.strictObject({}),
    responses: {},
    problems: [],
    handle: ({ signal }) => handle(signal),
  });

describe('health', () => {
  it('is alive whatever is missing', async () => {
    const { app, health } = makeFixture();
    health.now = { ready: false, degraded: false, detail: { broker: 'down' } };
    const response = await app.inject('/healthz');
    expect([response.statusCode, response.json()]).to.deep.equal([200, { status: 'alive', eventLoopDelayMs: 3 }]);
  });

  it('is not alive when a loop does not move, and names it', async () => {
    const { app, health } = makeFixture();
    health.alive = { stuck: ['projection users'], eventLoopDelayMs: 3 };
    const response = await app.inject('/healthz');
    expect([response.statusCode, response.json()]).to.deep.equal([
      503,
      {
        type: 'about:blank',
        title: 'Service Unavailable',
        status: 503,
        code: 'STUCK',
        detail: 'Does not move any more: projection users; restart it',
        stuck: ['projection users'],
      },
    ]);
  });

  it('is ready, degraded or not ready, and says why', async () => {
    const { app, health } = makeFixture();
    expect((await app.inject('/readyz')).json()).to.deep.equal({ status: 'ready', detail: {} });
    health.now = { ready: true, degraded: true, detail: { broker: 'blocked' } };
    const degraded = await app.inject('/readyz');
    expect([degraded.statusCode, degraded.json()]).to.deep.equal([
      200,
      { status: 'degraded', detail: { broker: 'blocked' } },
    ]);
    health.now = { ready: false, degraded: true, detail: { broker: 'down' } };
    const down = await app.inject('/readyz');
    expect(down.statusCode).to.equal(503);
    expect(down.json()).to.deep.include({ code: 'NOT_READY', readiness: { broker: 'down' } });
  });

  it('serves metrics as Prometheus wants them', async () => {
    const response = await makeFixture().app.inject('/metrics');
    expect(response.headers['content-type']).to.match(/^text\/plain; version=0.0.4/);
    expect(response.body).to.equal('warren_up 1\n');
  });

  it('is all that the server of another role serves', async () => {
    const server = makeHealthServer({ host: '127.0.0.1', port: 0, log, isAlive, isReady, metrics });
    const { url } = await server.listen();
    try {
      expect((await fetch(`${url}/readyz`)).status).to.equal(200);
      expect((await fetch(`${url}/users/u-1`)).status).to.equal(404);
    } finally {
      await server.close();
    }
  });

  it('says which port is taken where another listens', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    const server = makeHealthServer({ host: '127.0.0.1', port, log, isAlive, isReady, metrics });
    const error: unknown = await server.listen().catch((thrown: unknown) => thrown);
    expect(error).to.include({ code: 'CONFIG' });
    expect((error as Error).message)
      .to.include(String(port))
      .and.to.include('HTTP_PORT');
    await server.close();
    other.close();
  });
});

describe('errors', () => {
  it('answers 404 for a path that is not there', async () => {
    const response = await makeFixture().app.inject('/nothing');
    expect(response.headers['content-type']).to.equal('application/problem+json');
    expect(response.json()).to.include({ status: 404, code: 'NOT_FOUND' });
  });

  it('answers 405 with Allow for a path that has other methods', async () => {
    const { app } = makeFixture();
    const response = await app.inject({ method: 'DELETE', url: '/users/u-1' });
    expect(response.json()).to.include({ status: 405, code: 'METHOD_NOT_ALLOWED' });
    expect(response.headers.allow).to.equal('GET, HEAD');
    expect((await app.inject({ method: 'GET', url: '/commands?x=1' })).headers.allow).to.equal('POST');
  });

  it('answers 400 for a path that is not percent-encoded right', async () => {
    expect((await makeFixture().app.inject('/users/%zz')).json()).to.include({ status: 400, code: 'BAD_REQUEST' });
  });

  it('answers 500 without a word of the cause, which goes to the log', async () => {
    const logged: unknown[] = [];
    const spy = { ...log, error: (entry: unknown) => logged.push(entry) } as unknown as Logger;
    const failing = routeOf(() => Promise.reject(new Error('secret cause')));
    const app = makeApp({ log: spy, routes: [failing], maxBodyBytes: 1024 });
    const response = await app.inject('/slow');
    expect(response.json()).to.include({ status: 500, code: 'INTERNAL' });
    expect(response.body).not.to.match(/secret|stack|\.ts/);
    expect(logged).to.have.length(1).and.to.have.nested.property('[0].err.message', 'secret cause');
  });

  it('answers what is no HTTP with a problem, and hangs up', async () => {
    const server = makeHealthServer({ host: '127.0.0.1', port: 0, log, isAlive, isReady, metrics });
    const { url } = await server.listen();
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.write('this is not HTTP\r\n\r\n');
    let received = '';
    for await (const chunk of socket) received += String(chunk);
    expect(received).to.match(/^HTTP\/1.1 400 Bad Request\r\n[^]*application\/problem\+json[^]*"status":400/);
    await server.close();
  });
});

describe('closing', () => {
  it('finishes requests in hand, tells those who wait to stop, and ends unused connections', async () => {
    let finish: (answer: Answer) => void = () => undefined;
    let signalOfRequest: AbortSignal | undefined;
    const slow = routeOf((signal) => {
      signalOfRequest = signal;
      return new Promise((resolve) => {
        finish = resolve;
      });
    });
    const app = makeApp({ log, routes: [slow], maxBodyBytes: 1024 });
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    const unused = connect(Number(new URL(url).port), '127.0.0.1');
    const unusedEnded = new Promise((resolve) => unused.once('close', resolve).resume());
    const answer = fetch(`${url}/slow`);
    await eventually(() => {
      expect(signalOfRequest).to.not.equal(undefined);
    });
    expect(signalOfRequest?.aborted).to.equal(false);
    const closed = app.close();
    await eventually(() => {
      expect(signalOfRequest?.aborted).to.equal(true);
    });
    finish({ status: 200, body: { done: true } });
    expect(await (await answer).json()).to.deep.equal({ done: true });
    await Promise.all([closed, unusedEnded]);
    expect(await fetch(`${url}/slow`).catch(() => 'refused')).to.equal('refused');
  });

  it('tells a route when its client has gone', async () => {
    let signalOfRequest: AbortSignal | undefined;
    const slow = routeOf(
      (signal) =>
        new Promise((resolve) => {
          signalOfRequest = signal;
          signal.addEventListener('abort', () => {
            resolve({ status: 200 });
          });
        }),
    );
    const app = makeApp({ log, routes: [slow], maxBodyBytes: 1024 });
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    const request = httpRequest(`${url}/slow`).on('error', () => undefined);
    request.end();
    await eventually(() => {
      expect(signalOfRequest).to.not.equal(undefined);
    });
    request.destroy();
    await eventually(() => {
      expect(signalOfRequest?.aborted).to.equal(true);
    });
    await app.close();
  });
});
