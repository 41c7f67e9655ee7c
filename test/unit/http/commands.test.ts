import { expect } from 'chai';
import type { Reply } from '../../../src/core/reply.js';
import { WarrenError } from '../../../src/errors.js';
import { at, makeFixture, maxMessageBytes, type Fixture } from './http-fixture.js';

const create = { id: 'c-1', type: 'user.create', aggregateId: 'u-1', payload: { email: 'a@example.org', name: 'Ann' } };
const json = { 'content-type': 'application/json' };

const post = (fixture: Fixture, payload: string | Buffer | object, url = '/commands', headers: object = json) =>
  fixture.app.inject({
    method: 'POST',
    url,
    headers: headers as Record<string, string>,
    payload: typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload),
  });

const accepted: Reply = {
  commandId: 'c-1',
  status: 'accepted',
  aggregateId: 'u-1',
  version: 1,
  events: [{ id: 'e-1', type: 'user.created', version: 1, position: 1 }],
};

describe('POST /commands', () => {
  it('answers 202 once the broker has confirmed, and publishes the command with its id', async () => {
    const fixture = makeFixture();
    const response = await post(fixture, create);
    expect(response.statusCode).to.equal(202);
    expect(response.json()).to.deep.equal({ commandId: 'c-1', status: 'queued' });
    const [message] = fixture.published;
    expect(message).to.include({ exchange: 'commands', routingKey: 'user.create', mandatory: true });
    expect(message?.properties).to.include({ messageId: 'c-1', type: 'user.create', contentType: 'application/json' });
    expect(JSON.parse(String(message?.body))).to.deep.equal({ ...create, metadata: { correlationId: 'c-1' } });
    expect(message?.properties).to.include({ correlationId: 'c-1', timestamp: at.getTime() / 1000 });
  });

  it('makes an id where there is none, and puts it into the message', async () => {
    const fixture = makeFixture();
    const { id: _id, ...withoutId } = create;
    expect((await post(fixture, withoutId)).json()).to.deep.equal({ commandId: 'made-id', status: 'queued' });
    expect(JSON.parse(String(fixture.published[0]?.body))).to.include({ id: 'made-id' });
  });

  it('passes a valid traceparent header on and drops an invalid one', async () => {
    const fixture = makeFixture();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await post(fixture, create, '/commands', { ...json, traceparent });
    await post(fixture, create, '/commands', { ...json, traceparent: 'nonsense' });
    expect(fixture.published.map(({ properties }) => properties.headers)).to.deep.equal([{ traceparent }, undefined]);
  });

  for (const [name, body, code] of [
    ['what is not JSON', '{', 'INVALID_JSON'],
    ['an empty body', '', 'INVALID_JSON'],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'INVALID_JSON'],
    ['an unknown key', { ...create, extra: 1 }, 'SCHEMA'],
    ['an unknown payload key', { ...create, payload: { ...create.payload, extra: 1 } }, 'SCHEMA'],
    ['an unknown type', { ...create, type: 'user.fly' }, 'UNKNOWN_COMMAND'],
  ] as const) {
    it(`refuses ${name} with 400 and the reply that the queue would give, and publishes nothing`, async () => {
      const fixture = makeFixture();
      const response = await post(fixture, body);
      expect(response.statusCode).to.equal(400);
      expect(response.headers['content-type']).to.equal('application/problem+json');
      const problem = response.json<{ code: string; reply: Reply }>();
      expect(problem.code).to.equal(code);
      expect(problem.reply).to.deep.include({ status: 'invalid' });
      expect(problem.reply).to.have.nested.property('error.code', code);
      expect(fixture.published).to.deep.equal([]);
    });
  }

  it('refuses more than the limit with 413 and a reply', async () => {
    const response = await post(makeFixture(), { ...create, payload: { name: 'x'.repeat(maxMessageBytes) } });
    expect(response.statusCode).to.equal(413);
    expect(response.json()).to.nested.include({ code: 'TOO_LARGE', 'reply.status': 'invalid' });
  });

  it('refuses what the parser finds too large with 413 as well', async () => {
    const response = await post(makeFixture({ maxMessageBytes: 60 }), create);
    expect(response.statusCode).to.equal(413);
    expect(response.json()).to.nested.include({ code: 'TOO_LARGE', 'reply.commandId': null });
  });

  it('refuses what only the canonical form makes too large: a worker would park it after the 202', async () => {
    const fixture = makeFixture();
    const { id: _id, ...withoutId } = create;
    const text = JSON.stringify({ ...withoutId, metadata: { actor: 'a', correlationId: 'b' } });
    const small = makeFixture({ maxMessageBytes: Buffer.byteLength(text) });
    const response = await small.app.inject({ method: 'POST', url: '/commands', headers: json, payload: text });
    expect(response.statusCode).to.equal(413);
    expect(small.published).to.deep.equal([]);
    expect((await post(fixture, text)).statusCode).to.equal(202);
  });

  it('takes JSON only: 415 for another content type', async () => {
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const response = await post(makeFixture(), create, '/commands', form);
    expect(response.statusCode).to.equal(415);
    expect(response.json()).to.include({ code: 'UNSUPPORTED_MEDIA_TYPE', status: 415 });
  });

  it('answers 503 with the id to repeat when the broker did not confirm', async () => {
    const fixture = makeFixture();
    fixture.broker.outcome = 'unknown';
    const response = await post(fixture, create);
    expect(response.statusCode).to.equal(503);
    expect(response.headers).to.have.property('retry-after');
    expect(response.json()).to.include({ code: 'BROKER_UNAVAILABLE', commandId: 'c-1' });
  });

  it('answers 503 when no queue took the command', async () => {
    const fixture = makeFixture();
    fixture.broker.outcome = 'unroutable';
    const response = await post(fixture, create);
    expect(response.statusCode).to.equal(503);
    expect(response.json()).to.include({ code: 'UNROUTABLE', commandId: 'c-1' });
  });
});

describe('POST /commands?wait', () => {
  const withReply = (reply: unknown): Fixture => {
    const fixture = makeFixture();
    fixture.broker.request = async () => Buffer.from(typeof reply === 'string' ? reply : JSON.stringify(reply));
    return fixture;
  };
  const error = { code: 'SOME_RULE', message: 'No' };

  it('answers 200 with the reply when the command was accepted', async () => {
    const response = await post(withReply(accepted), create, '/commands?wait=5s');
    expect(response.statusCode).to.equal(200);
    expect(response.json()).to.deep.equal(accepted);
  });

  for (const [status, httpStatus] of [
    ['conflict', 409],
    ['rejected', 422],
    ['invalid', 400],
  ] as const) {
    it(`answers ${httpStatus} with the reply in a problem when it is ${status}`, async () => {
      const reply = { commandId: 'c-1', status, aggregateId: 'u-1', version: 1, error };
      const response = await post(withReply(reply), create, '/commands?wait=500ms');
      expect(response.statusCode).to.equal(httpStatus);
      expect(response.headers['content-type']).to.equal('application/problem+json');
      const problem = { status: httpStatus, code: 'SOME_RULE', detail: 'No' };
      expect(response.json()).to.deep.include({ ...problem, reply });
    });
  }

  it('answers 504 with the command id when no reply came in time', async () => {
    const fixture = makeFixture();
    fixture.broker.request = () => Promise.reject(new WarrenError('REQUEST_TIMEOUT', 'internal words'));
    const response = await post(fixture, create, '/commands?wait=20ms');
    expect(response.statusCode).to.equal(504);
    expect(response.json()).to.include({ code: 'REQUEST_TIMEOUT', commandId: 'c-1' });
    expect(response.body).not.to.include('internal words');
  });

  it('answers 503 with the command id when the broker is away', async () => {
    const fixture = makeFixture();
    fixture.broker.request = () => Promise.reject(new WarrenError('BROKER_UNAVAILABLE', 'away'));
    const response = await post(fixture, create, '/commands?wait=20ms');
    expect(response.statusCode).to.equal(503);
    expect(response.json()).to.include({ code: 'BROKER_UNAVAILABLE', commandId: 'c-1' });
  });

  it('answers 502 to a reply that is none', async () => {
    expect((await post(withReply('{'), create, '/commands?wait=1s')).statusCode).to.equal(502);
    expect((await post(withReply({ status: 'accepted' }), create, '/commands?wait=1s')).statusCode).to.equal(502);
  });

  for (const wait of ['5', 'soon', '-1s', '31s', '30001ms', '', '1s&wait=2s']) {
    it(`refuses wait=${wait} with 400 that names it`, async () => {
      const fixture = makeFixture();
      const response = await post(fixture, create, `/commands?wait=${wait}`);
      expect(response.statusCode).to.equal(400);
      expect(response.json<{ detail: string }>().detail).to.match(/^wait: /);
      expect(fixture.published).to.deep.equal([]);
    });
  }

  it('refuses an unknown parameter with 400 that names it', async () => {
    const response = await post(makeFixture(), create, '/commands?wiat=5s');
    expect(response.statusCode).to.equal(400);
    expect(response.json()).to.deep.include({
      code: 'BAD_PARAMETER',
      errors: [{ parameter: 'wiat', detail: 'there is no such parameter' }],
    });
  });
});
