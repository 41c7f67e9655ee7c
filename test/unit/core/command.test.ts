import { expect } from 'chai';
import fc from 'fast-check';
import { parseCommand, type CommandMessage, type ParsedCommand } from '../../../src/core/command.js';
import { indexDomains } from '../../../src/core/domain.js';
import { domains } from '../../../src/domains/registry.js';

const deps = { domains: indexDomains(domains), newId: () => 'made-id', maxBytes: 2048 };

const payload = { email: 'ann@example.org', name: 'Ann' };
const essence = { type: 'user.create', aggregateId: 'u-1', payload };
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

const parseBytes = (body: Uint8Array, rest: Partial<CommandMessage> = {}): ParsedCommand =>
  parseCommand({ body, properties: {}, ...rest }, deps);

const parseText = (text: string, rest: Partial<CommandMessage> = {}): ParsedCommand =>
  parseBytes(Buffer.from(text), rest);

/** `changes` replace what a correct command has; undefined takes a key away. */
const parse = (changes: Readonly<Record<string, unknown>> = {}, rest: Partial<CommandMessage> = {}): ParsedCommand =>
  parseText(JSON.stringify({ ...essence, ...changes }), rest);

const commandOf = (parsed: ParsedCommand) => {
  if (!parsed.ok) throw new Error(`expected a command: ${parsed.message}`);
  return parsed.command;
};

const expectInvalid = (parsed: ParsedCommand, reason: string, text: string): void => {
  if (parsed.ok) throw new Error(`expected ${reason}, got ${JSON.stringify(parsed.command)}`);
  expect(parsed.reason).to.equal(reason);
  expect(parsed.message).to.include(text);
  expect(parsed.reply).to.deep.include({ status: 'invalid', error: { code: reason, message: parsed.message } });
};

describe('parsing a command', () => {
  it('takes type, aggregate id and payload; the rest is optional', () => {
    expect(parse()).to.deep.equal({
      ok: true,
      aggregateType: 'user',
      command: { ...essence, id: 'made-id', metadata: {} },
    });
    const metadata = { correlationId: 'k-1', causationId: 'e-1', actor: 'ann' };
    const whole = { ...essence, id: 'c-1', expectedVersion: 0, metadata };
    expect(commandOf(parse(whole))).to.deep.equal(whole);
  });

  it('takes the id from the body, then from message_id, then makes one', () => {
    const properties = { messageId: 'm-1' };
    expect(commandOf(parse({ id: 'c-1' }, { properties })).id).to.equal('c-1');
    expect(commandOf(parse({}, { properties })).id).to.equal('m-1');
    expect(commandOf(parse()).id).to.equal('made-id');
  });

  it('takes the type from the body, then from property type, then from the routing key', () => {
    const from = { properties: { type: 'user.update' }, routedType: 'user.deactivate' };
    const typeOf = (type: unknown, given: unknown, rest: Partial<CommandMessage>): string =>
      commandOf(parse({ type, payload: given }, rest)).type;
    expect(typeOf('user.create', payload, from)).to.equal('user.create');
    expect(typeOf(undefined, { name: 'Ann' }, from)).to.equal('user.update');
    expect(typeOf(undefined, {}, { ...from, properties: {} })).to.equal('user.deactivate');
    expectInvalid(parse({ type: undefined }), 'SCHEMA', 'type: ');
  });

  it('takes the correlation id from the metadata, else from the property, if that is a usable one', () => {
    const correlationOf = (metadata: object | undefined, correlationId: string): string | undefined =>
      commandOf(parse({ metadata }, { properties: { correlationId } })).metadata.correlationId;
    expect(correlationOf({ correlationId: 'k-1' }, 'k-2')).to.equal('k-1');
    expect(correlationOf({}, 'k-2')).to.equal('k-2');
    expect(correlationOf(undefined, 'k-2')).to.equal('k-2');
    expect(correlationOf({}, 'a\u0000b')).to.equal(undefined);
  });

  it('takes the traceparent from the header; a wrong one is dropped, and in the metadata it is an unknown key', () => {
    const traceOf = (header: string): string | undefined =>
      commandOf(parse({}, { properties: { traceparent: header } })).metadata.traceparent;
    expect(traceOf(traceparent)).to.equal(traceparent);
    for (const wrong of ['', 'x', traceparent.toUpperCase(), `${traceparent}-00`, `${traceparent}\n`]) {
      expect(traceOf(wrong), wrong).to.equal(undefined);
    }
    expectInvalid(parse({ metadata: { traceparent } }), 'SCHEMA', 'traceparent');
  });

  it('refuses an id or a type that is null: that is not the same as none', () => {
    const properties = { messageId: 'm-1', type: 'user.create' };
    expectInvalid(parse({ id: null }, { properties }), 'SCHEMA', 'id');
    expectInvalid(parse({ type: null }, { properties }), 'SCHEMA', 'type');
  });

  for (const [name, place] of [
    ['id', (text: string) => ({ id: text })],
    ['aggregateId', (text: string) => ({ aggregateId: text })],
    ['metadata.actor', (text: string) => ({ metadata: { actor: text } })],
    ['metadata.causationId', (text: string) => ({ metadata: { causationId: text } })],
    ['metadata.correlationId', (text: string) => ({ metadata: { correlationId: text } })],
  ] as const) {
    it(`takes a ${name} of 1 to 200 characters and at most 255 bytes, none of them a control character`, () => {
      const astral = '\u{1f600}';
      for (const good of ['$a.b/c', 'x'.repeat(200), 'é'.repeat(127), astral.repeat(63), ' ', '\u00a0']) {
        expect(parse(place(good)).ok, good).to.equal(true);
      }
      for (const bad of [
        '',
        'x'.repeat(201),
        'é'.repeat(128),
        astral.repeat(64),
        'a\u0000',
        'a\nb',
        '\u007f',
        '\u0085',
      ]) {
        expectInvalid(parse(place(bad)), 'SCHEMA', `${name}: `);
      }
      expectInvalid(parse(place(7 as unknown as string)), 'SCHEMA', `${name}: `);
    });
  }

  it('applies the same limits to an id that comes as a property', () => {
    expectInvalid(parse({}, { properties: { messageId: 'a\nb' } }), 'SCHEMA', 'id: ');
    expectInvalid(parse({}, { properties: { messageId: '' } }), 'SCHEMA', 'id: ');
  });

  it('refuses half of a surrogate pair anywhere, but not its spelling', () => {
    const withName = (name: string): ParsedCommand =>
      parseText(`{"type":"user.create","aggregateId":"u-1","payload":{"email":"ann@example.org","name":"${name}"}}`);
    for (const half of ['\\ud800', '\\uDFFF', 'a\\ud83dz', '\\\\\\ud800']) {
      expectInvalid(withName(half), 'INVALID_JSON', 'UTF-8');
    }
    expectInvalid(parseText('{"\\ud800":1}'), 'INVALID_JSON', 'UTF-8');
    expect((commandOf(withName('\\ud83d\\ude00')).payload as { name: string }).name).to.equal('\u{1f600}');
    expect((commandOf(withName('\\\\ud800')).payload as { name: string }).name).to.equal('\\ud800');
  });

  it('refuses unknown keys at each level, naming them, `__proto__` too', () => {
    expectInvalid(parse({ extra: 1 }), 'SCHEMA', '"extra"');
    expectInvalid(parse({ metadata: { tenant: 'x' } }), 'SCHEMA', 'metadata: Unrecognized key: "tenant"');
    expectInvalid(parse({ payload: { ...payload, admin: true } }), 'SCHEMA', 'payload: Unrecognized key: "admin"');
    const proto = '"__proto__":{"admin":true}';
    const inner = '"type":"user.create","aggregateId":"u-1","payload":{"email":"ann@example.org","name":"Ann"';
    expectInvalid(parseText(`{${proto},${inner}}}`), 'SCHEMA', '__proto__');
    expectInvalid(parseText(`{${inner},${proto}}}`), 'SCHEMA', '__proto__');
    expectInvalid(parseText(`{${inner}},"metadata":{${proto}}}`), 'SCHEMA', '__proto__');
  });

  it('does not take for a type what every object has', () => {
    for (const type of ['constructor', '__proto__', 'toString', 'user.created', 'User.create', 'user']) {
      expectInvalid(parse({ type }), 'UNKNOWN_COMMAND', type);
    }
  });

  it('refuses a missing payload, and says what to send', () => {
    expectInvalid(parse({ payload: undefined }), 'SCHEMA', 'payload: is required; send {}');
    expectInvalid(parse({ type: 'user.deactivate', payload: null }), 'SCHEMA', 'payload: ');
    expect(parse({ type: 'user.deactivate', payload: {} }).ok).to.equal(true);
  });

  it('takes an expected version of 0 and more, whole and as a number', () => {
    expect(commandOf(parse({ expectedVersion: 7 })).expectedVersion).to.equal(7);
    for (const wrong of [-1, 1.5, '1', null, true, 2 ** 53]) {
      expectInvalid(parse({ expectedVersion: wrong }), 'SCHEMA', 'expectedVersion: ');
    }
  });

  it('names every problem at once, with the place', () => {
    const parsed = parse({ id: '', aggregateId: 3, metadata: { actor: '' } });
    for (const place of ['id: ', 'aggregateId: ', 'metadata.actor: ']) expectInvalid(parsed, 'SCHEMA', place);
    const line = { sku: 's', quantity: 0, unitPriceCents: 1.5 };
    const order = parse({ type: 'order.create', payload: { customerId: 'u-1', currency: 'EUR', lines: [line] } });
    expectInvalid(order, 'SCHEMA', 'payload.lines.0.quantity: ');
    expectInvalid(order, 'SCHEMA', 'payload.lines.0.unitPriceCents: ');
  });

  it('refuses what is not a JSON object in UTF-8', () => {
    for (const text of ['', '{', 'hello', "{'a':1}", '{"a":1}x', 'undefined', 'NaN']) {
      expectInvalid(parseText(text), 'INVALID_JSON', 'not JSON');
    }
    for (const text of ['null', '7', '"x"', '[]', 'true']) expectInvalid(parseText(text), 'SCHEMA', 'JSON object');
    const latin1 = Buffer.from(JSON.stringify({ ...essence, payload: { ...payload, name: 'é' } }), 'latin1');
    expectInvalid(parseBytes(latin1), 'INVALID_JSON', 'UTF-8');
    expectInvalid(parseBytes(Buffer.from(JSON.stringify(essence), 'utf16le')), 'INVALID_JSON', 'UTF-8');
  });

  it('reads over a byte order mark', () => {
    expect(commandOf(parseText(`\ufeff${JSON.stringify(essence)}`)).aggregateId).to.equal('u-1');
  });

  it('refuses a message over the limit, and takes one that is exactly at it', () => {
    const text = JSON.stringify(essence);
    expect(parseText(text.padEnd(deps.maxBytes)).ok).to.equal(true);
    expectInvalid(
      parseText(text.padEnd(deps.maxBytes + 1)),
      'TOO_LARGE',
      `${deps.maxBytes + 1} bytes, at most ${deps.maxBytes}`,
    );
    expectInvalid(parseText('é'.repeat(deps.maxBytes / 2 + 1)), 'TOO_LARGE', `${deps.maxBytes + 2} bytes`);
  });

  it('replies with the ids of the message, as far as they are usable', () => {
    const replyOf = (parsed: ParsedCommand) => (parsed.ok ? null : parsed.reply);
    const properties = { messageId: 'm-1' };
    expect(replyOf(parse({ id: 'c-1', extra: 1 }, { properties }))).to.include({
      commandId: 'c-1',
      aggregateId: 'u-1',
    });
    expect(replyOf(parse({ id: 'a\nb' }, { properties }))).to.include({ commandId: 'm-1' });
    expect(replyOf(parseText('{', { properties })))
      .to.include({ commandId: 'm-1' })
      .and.not.have.property('aggregateId');
    expect(replyOf(parseText('{'))).to.include({ commandId: null });
  });

  it('never throws, whatever the bytes', () => {
    const keys = fc.constantFrom('id', 'type', 'aggregateId', 'payload', 'expectedVersion', 'metadata', '__proto__');
    const nearly = fc.dictionary(keys, fc.oneof(fc.constantFrom('user.create', 'u-1', payload), fc.jsonValue()));
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.json().map((text) => Buffer.from(text)),
      nearly.map((body) => Buffer.from(JSON.stringify(body))),
    );
    const text = fc.option(fc.string({ unit: 'binary' }), { nil: undefined });
    const properties = fc.record({ messageId: text, correlationId: text, type: text, traceparent: text });
    fc.assert(
      fc.property(bodies, properties, text, (body, given, routedType) => {
        const parsed = parseBytes(body, { properties: given, routedType });
        if (!parsed.ok) expect(parsed.reply).to.deep.include({ status: 'invalid' });
      }),
      { numRuns: 500 },
    );
    expectInvalid(parseText('['.repeat(2000)), 'INVALID_JSON', 'not JSON');
    expectInvalid(
      parse({ payload: JSON.parse(`${'['.repeat(800)}${']'.repeat(800)}`) as unknown }),
      'SCHEMA',
      'payload',
    );
  });
});
