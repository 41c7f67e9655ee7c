import { expect } from 'chai';
import { explain } from '../../../../src/messaging/rabbitmq/trouble.js';

const host = { url: 'amqp://ann:secret@h/prod', name: 'h/prod', vhost: 'prod' };
const withCode = (code: string, message = code, more: object = {}): Error =>
  Object.assign(new Error(message), { code }, more);

describe('trouble with a broker', () => {
  for (const [text, refused, error] of [
    [
      /refuses user or password/,
      true,
      new Error(
        'Handshake terminated by server: 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - Login was refused"',
      ),
    ],
    [
      /no vhost prod, or the user may not use it/,
      true,
      new Error('Expected ConnectionOpenOk; got <ConnectionClose channel:0>'),
    ],
    [
      /may not do that: access to queue 'commands' in vhost '\/' refused for user 'ann'$/,
      true,
      new Error(
        `Operation failed: QueueDeclare; 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - access to queue 'commands' in vhost '/' refused for user 'ann'"`,
      ),
    ],
    [/CA that is trusted here/, true, withCode('SELF_SIGNED_CERT_IN_CHAIN')],
    [/CA that is trusted here/, true, withCode('DEPTH_ZERO_SELF_SIGNED_CERT')],
    [/CA that is trusted here/, true, withCode('UNABLE_TO_VERIFY_LEAF_SIGNATURE')],
    [
      /certificate is for DNS:a\.test, and not/,
      true,
      withCode('ERR_TLS_CERT_ALTNAME_INVALID', 'Hostname/IP does not match', {
        cert: { subjectaltname: 'DNS:a.test' },
      }),
    ],
    [/has expired/, true, withCode('CERT_HAS_EXPIRED')],
    [/not valid yet/, true, withCode('CERT_NOT_YET_VALID')],
    [/wants a client certificate/, true, withCode('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED')],
    [/does not speak TLS/, true, withCode('ERR_SSL_WRONG_VERSION_NUMBER')],
    [/must be amqps/, false, new Error('Socket closed abruptly during opening handshake')],
    [/^connect ECONNREFUSED 127\.0\.0\.1:1$/, false, withCode('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1')],
    [/^ECONNREFUSED$/, false, withCode('ECONNREFUSED', '')],
  ] as const) {
    it(`${refused ? 'is a refusal' : 'may pass'}: ${text.source}`, () => {
      const found = explain(error, host);
      expect(found.text).to.match(text);
      expect(found.refused).to.equal(refused);
    });
  }
});
