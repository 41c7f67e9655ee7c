import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readTls } from '../../../../src/messaging/rabbitmq/tls.js';

const file = (name: string): string => join(import.meta.dirname, '../../../adapters/tls', name);
const url = 'amqps://h';

describe('TLS settings', () => {
  it('reads the files, and hands the rest on', () => {
    const settings = {
      caFile: file('ca.pem'),
      certFile: file('client.pem'),
      keyFile: file('client-encrypted.key'),
      passphrase: 'test',
      serverName: 'broker.test',
    };
    expect(readTls(settings, url)).to.deep.equal({
      ca: readFileSync(file('ca.pem')),
      cert: readFileSync(file('client.pem')),
      key: readFileSync(file('client-encrypted.key')),
      passphrase: 'test',
      servername: 'broker.test',
    });
  });

  it('has nothing to say where nothing is set', () => {
    expect(readTls({}, 'amqp://h')).to.deep.equal({});
  });

  const client = { certFile: file('client.pem'), keyFile: file('client-encrypted.key') };
  for (const [title, settings, at, text] of [
    [
      'a file that is not there',
      { caFile: '/no/such/ca.pem' },
      url,
      /WARREN_RABBITMQ_CA_FILE: \/no\/such\/ca\.pem cannot be read/,
    ],
    ['a CA file without certificates', { caFile: file('README.md') }, url, /CA_FILE: .* holds no certificate/],
    ['a certificate without its key', { certFile: file('client.pem') }, url, /KEY_FILE: not set, while .*CERT_FILE is/],
    ['a key without its certificate', { keyFile: file('broker.key') }, url, /CERT_FILE: not set, while .*KEY_FILE is/],
    ['a wrong passphrase', { ...client, passphrase: 'wrong' }, url, /WARREN_RABBITMQ_PASSPHRASE: not usable/],
    ['a key of another certificate', { ...client, keyFile: file('broker.key') }, url, /KEY_FILE or .* not usable/],
    [
      'a CA for a connection that is not encrypted',
      { caFile: file('ca.pem') },
      'amqp://h',
      /CA_FILE: set, but RABBITMQ_URL is not amqps/,
    ],
  ] as const) {
    it(`refuses ${title} as CONFIG, and names the key`, () => {
      expect(() => readTls(settings, at))
        .to.throw(text)
        .with.property('code', 'CONFIG');
    });
  }
});
