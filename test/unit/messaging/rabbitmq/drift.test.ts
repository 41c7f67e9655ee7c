import { expect } from 'chai';
import { findDifferences, type Attributes } from '../../../../src/messaging/rabbitmq/drift.js';

/** A broker that has these, and says as RabbitMQ does what differs first. */
const brokerWith = (present: Attributes) => {
  const text = (value: Attributes[string] | undefined): string => {
    if (value === undefined) return 'none';
    const type = typeof value === 'string' ? 'longstr' : typeof value === 'boolean' ? 'bool' : 'short';
    return `the value '${String(value)}' of type '${type}'`;
  };
  return async (attempt: Attributes): Promise<Error | null> => {
    const names = [...new Set([...Object.keys(attempt), ...Object.keys(present)])].sort();
    const name = names.find((each) => attempt[each] !== present[each]);
    if (name === undefined) return null;
    const [received, current] = [attempt[name], present[name]];
    // Both set: their types are not said.
    const both = received !== undefined && current !== undefined;
    const said = both
      ? `received '${String(received)}' but current is '${String(current)}'`
      : `received ${text(received)} but current is ${text(current)}`;
    return new Error(
      'Channel closed by server: 406 (PRECONDITION-FAILED) with message "PRECONDITION_FAILED - ' +
        `inequivalent arg '${name}' for queue 'commands' in vhost 'o''clock': ${said}"`,
    );
  };
};

describe('differences to what the broker has', () => {
  it('finds every one: another value, one that is missing, one too many', async () => {
    const wanted = { 'x-delivery-limit': 20, 'x-overflow': 'reject-publish', durable: true };
    const present = { 'x-delivery-limit': 5, 'x-message-ttl': 1000, durable: true, 'x-single-active-consumer': true };
    expect(await findDifferences(wanted, brokerWith(present))).to.deep.equal([
      { name: 'x-delivery-limit', found: 5, wanted: 20 },
      { name: 'x-message-ttl', found: 1000, wanted: null },
      { name: 'x-overflow', found: null, wanted: 'reject-publish' },
      { name: 'x-single-active-consumer', found: true, wanted: null },
    ]);
  });

  it('tells a number from a text that looks like it, which the broker takes and never enforces', async () => {
    const wanted = { 'x-delivery-limit': 20 };
    expect(await findDifferences(wanted, brokerWith({ 'x-delivery-limit': '20' }))).to.deep.equal([
      { name: 'x-delivery-limit', found: '20', wanted: 20 },
    ]);
    expect(await findDifferences(wanted, brokerWith({ 'x-delivery-limit': '5' }))).to.deep.equal([
      { name: 'x-delivery-limit', found: '5', wanted: 20 },
    ]);
  });

  it('finds a text that is empty', async () => {
    expect(await findDifferences({}, brokerWith({ 'x-dead-letter-exchange': '' }))).to.deep.equal([
      { name: 'x-dead-letter-exchange', found: '', wanted: null },
    ]);
  });

  it('finds none where there is none', async () => {
    expect(await findDifferences({ durable: true }, brokerWith({ durable: true }))).to.deep.equal([]);
  });

  it('passes on a refusal of another kind', async () => {
    const refusal = new Error('ACCESS_REFUSED - access to queue refused');
    const error = await findDifferences({ durable: true }, async () => refusal).catch((thrown: unknown) => thrown);
    expect(error).to.equal(refusal);
  });
});
