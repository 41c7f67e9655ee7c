import { expect } from 'chai';
import { parseBrokerUrl } from '../../../../src/messaging/rabbitmq/broker-url.js';

describe('broker URL', () => {
  it('gives each of several hosts user, vhost and heartbeat', () => {
    expect(parseBrokerUrl('amqps://ann:s%40x@h1:5671,h2/prod', 15)).to.deep.equal([
      { url: 'amqps://ann:s%40x@h1:5671/prod?heartbeat=15', name: 'h1:5671/prod', vhost: 'prod' },
      { url: 'amqps://ann:s%40x@h2/prod?heartbeat=15', name: 'h2/prod', vhost: 'prod' },
    ]);
  });

  it('takes the vhost / when none is named', () => {
    expect(parseBrokerUrl('amqp://h', 15)).to.deep.equal([{ url: 'amqp://h?heartbeat=15', name: 'h', vhost: '/' }]);
    expect(parseBrokerUrl('amqp://h/%2f', 15)[0]?.vhost).to.equal('/');
  });

  it('leaves a heartbeat that the URL names, and other options', () => {
    expect(parseBrokerUrl('amqp://[::1]:5672/?heartbeat=5&locale=de', 15)[0]?.url).to.equal(
      'amqp://[::1]:5672/?heartbeat=5&locale=de',
    );
  });

  for (const wrong of ['http://h', 'amqp://', 'amqp://u:secret@/x', 'amqp://u:secret@,/x']) {
    it(`refuses ${wrong} without showing it`, () => {
      expect(() => parseBrokerUrl(wrong, 15))
        .to.throw(/broker URL/)
        .with.property('message')
        .not.includes('secret');
    });
  }
});
