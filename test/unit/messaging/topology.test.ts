import { expect } from 'chai';
import type { Domain } from '../../../src/core/domain.js';
import { delayLabel, retryQueue, topologyOf } from '../../../src/messaging/topology.js';
import { noteDomain } from '../../helpers/evolved-domain.js';

const domain = {
  aggregateType: 'user',
  events: { 'user.created': {}, 'user.updated': {} },
  projections: [
    { kind: 'keyed', name: 'users' },
    { kind: 'ordered', name: 'user_statistics' },
  ],
  notifications: [{ name: 'welcome', events: ['user.created'] }],
} as unknown as Domain;

describe('topology', () => {
  const topology = topologyOf([domain], { retryDelaysMs: [1000, 5000, 30_000, 300_000], deliveryLimit: 20 });
  const argumentsOf = (name: string) => topology.queues.find((queue) => queue.name === name)?.arguments;
  const exchange = (name: string) => topology.exchanges.find((spec) => spec.name === name);
  const patterns = (from: string, queue: string) =>
    topology.bindings.filter((spec) => spec.exchange === from && spec.queue === queue).map(({ pattern }) => pattern);

  const workQueue = (name: string) => ({
    'x-queue-type': 'quorum',
    'x-delivery-limit': 20,
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': `${name}.parked`,
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
  });

  for (const [delayMs, label] of [
    [1000, '1s'],
    [30_000, '30s'],
    [90_000, '90s'],
    [300_000, '5m'],
    [7_200_000, '2h'],
    [1500, '1500ms'],
    [50, '50ms'],
  ] as const) {
    it(`calls a delay of ${delayMs} ms ${label}`, () => {
      expect(delayLabel(delayMs)).to.equal(label);
      expect(retryQueue(delayMs)).to.equal(`retry.${label}`);
    });
  }

  it('declares where dead letters go before what they come from: parked, ladder, work', () => {
    expect(topology.queues.map(({ name }) => name)).to.deep.equal([
      'commands.parked',
      'projections.users.parked',
      'projections.user_statistics.parked',
      'notifications.welcome.parked',
      'retry.1s',
      'retry.5s',
      'retry.30s',
      'retry.5m',
      'commands',
      'projections.users',
      'projections.user_statistics',
      'notifications.welcome',
      'events.unrouted',
    ]);
  });

  it('limits deliveries of work queues and sends their dead to the parked queue, at least once', () => {
    for (const name of ['commands', 'projections.users', 'notifications.welcome']) {
      expect(argumentsOf(name)).to.deep.equal(workQueue(name));
    }
  });

  it('gives an ordered projection one active consumer', () => {
    const name = 'projections.user_statistics';
    expect(argumentsOf(name)).to.deep.equal({ ...workQueue(name), 'x-single-active-consumer': true });
  });

  it('lets a parked message be looked at any number of times', () => {
    expect(argumentsOf('commands.parked')).to.deep.equal({
      'x-queue-type': 'quorum',
      'x-delivery-limit': 2_147_483_647,
    });
  });

  it('makes a fanout exchange and a queue a delay, whose messages expire to the queue of their routing key', () => {
    expect(argumentsOf('retry.5m')).to.deep.equal({
      'x-queue-type': 'quorum',
      'x-delivery-limit': 20,
      'x-message-ttl': 300_000,
      'x-dead-letter-exchange': '',
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish',
    });
    expect(exchange('retry.5m')).to.deep.equal({ name: 'retry.5m', type: 'fanout' });
    expect(patterns('retry.5m', 'retry.5m')).to.deep.equal(['']);
  });

  it('keeps a bounded number of events of types that nobody is bound to', () => {
    expect(exchange('events')).to.deep.equal({ name: 'events', type: 'topic', alternateExchange: 'events.unrouted' });
    expect(exchange('events.unrouted')).to.deep.equal({ name: 'events.unrouted', type: 'fanout' });
    expect(argumentsOf('events.unrouted')).to.deep.equal({
      'x-queue-type': 'quorum',
      'x-max-length': 100_000,
      'x-delivery-limit': 2_147_483_647,
    });
    expect(patterns('events.unrouted', 'events.unrouted')).to.deep.equal(['']);
  });

  it('takes every command type', () => {
    expect(exchange('commands')).to.deep.equal({ name: 'commands', type: 'topic' });
    expect(patterns('commands', 'commands')).to.deep.equal(['#']);
  });

  it('binds a projection to every event type of its domain and a rule to its own', () => {
    expect(patterns('events', 'projections.users')).to.deep.equal(['user.created', 'user.updated']);
    expect(patterns('events', 'projections.user_statistics')).to.deep.equal(['user.created', 'user.updated']);
    expect(patterns('events', 'notifications.welcome')).to.deep.equal(['user.created']);
  });

  it('binds a projection to the old types of its events too, and a rule to those that may become its own', () => {
    const { bindings } = topologyOf([domain, noteDomain], { retryDelaysMs: [1000], deliveryLimit: 20 });
    const to = (name: string) => bindings.filter(({ queue }) => queue === name).map(({ pattern }) => pattern);
    const old = ['note.named', 'note.filed', 'note.touched'];
    expect(to('projections.notes')).to.deep.equal(['note.titled', 'note.moved', ...old]);
    expect(to('notifications.moves')).to.deep.equal(['note.moved', 'note.filed']);
  });

  it('makes one queue for a delay that is used twice', () => {
    const twice = topologyOf([], { retryDelaysMs: [1000, 1000], deliveryLimit: 5 });
    expect(twice.queues.filter(({ name }) => name === 'retry.1s')).to.have.lengthOf(1);
    expect(twice.exchanges.filter(({ name }) => name === 'retry.1s')).to.have.lengthOf(1);
  });
});
