import { expect } from 'chai';
import type { Message, Queue } from 'smqp';
import { makeMemoryBroker, storedIn, type MemoryBroker } from '../../../src/messaging/memory-broker.js';
import { eventually } from '../../helpers/eventually.js';

const toQueue = (queue: string, body = 'x') => ({
  exchange: '',
  routingKey: queue,
  body: Buffer.from(body),
  properties: {},
  mandatory: true,
});

describe('memory broker', () => {
  const dead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'q.parked' };
  let broker: MemoryBroker;

  const take = (name: string): Message | undefined => {
    let found: Message | undefined;
    broker.subscribe(name, (queue: Queue) => {
      found = queue.get() || undefined;
    })();
    return found;
  };

  const declare = (name: string, given: Record<string, string | number | boolean> = {}): void => {
    broker.declare({ queues: [{ name, arguments: given }], exchanges: [], bindings: [] });
  };

  beforeEach(() => {
    broker = makeMemoryBroker();
    declare('q.parked');
  });

  afterEach(() => {
    broker.close();
  });

  it('sends a message that failed more often than the delivery limit to the dead letters', () => {
    declare('q', { ...dead, 'x-delivery-limit': 2 });
    broker.publish(toQueue('q'));
    for (const deliveries of [1, 2, 3]) {
      expect(take('q.parked'), `before delivery ${deliveries}`).to.equal(undefined);
      const message = take('q');
      expect(message?.fields.redelivered === true).to.equal(deliveries > 1);
      if (message) broker.reject('q', message);
    }
    const parked = take('q.parked');
    expect(parked && storedIn(parked).properties.headers).to.deep.include({
      'x-death': [{ count: 1, reason: 'delivery_limit', queue: 'q', exchange: '', 'routing-keys': ['q'] }],
    });
    expect(take('q')).to.equal(undefined);
  });

  it('sends a refused message to the dead letters at once', () => {
    declare('q', dead);
    broker.publish(toQueue('q', 'bad'));
    const message = take('q');
    if (message) broker.refuse('q', message);
    const parked = take('q.parked');
    expect(parked && storedIn(parked).body.toString()).to.equal('bad');
  });

  it('moves a message on when its time is over, to the queue of its routing key', async () => {
    declare('later', { 'x-message-ttl': 20, 'x-dead-letter-exchange': '' });
    broker.declare({
      queues: [],
      exchanges: [{ name: 'later', type: 'fanout' }],
      bindings: [{ exchange: 'later', queue: 'later', pattern: '' }],
    });
    declare('q');
    broker.publish({ ...toQueue('q', 'delayed'), exchange: 'later' });
    expect(take('q')).to.equal(undefined);
    await eventually(() => {
      expect(take('q')?.fields).to.include({ routingKey: 'q' });
    });
  });

  it('leaves no timer behind when it is closed', () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    declare('later', { 'x-message-ttl': 60_000, 'x-dead-letter-exchange': '' });
    broker.publish(toQueue('later'));
    expect(timers()).to.equal(before + 1);
    broker.close();
    expect(timers()).to.equal(before);
  });

  it('keeps of a bounded queue the last messages', () => {
    declare('bounded', { 'x-max-length': 2 });
    for (const body of ['1', '2', '3']) broker.publish(toQueue('bounded', body));
    const bodies = [take('bounded'), take('bounded')].map((message) => message && storedIn(message).body.toString());
    expect(bodies).to.deep.equal(['2', '3']);
  });

  it('shares no buffer between publisher, queues and readers', () => {
    declare('q');
    const body = Buffer.from('same');
    broker.publish({ ...toQueue('q'), body });
    body.fill('x');
    const message = take('q');
    if (!message) throw new Error('the message is missing');
    storedIn(message).body.fill('y');
    expect(storedIn(message).body.toString()).to.equal('same');
  });
});
