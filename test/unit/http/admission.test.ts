import { expect } from 'chai';
import { makeAdmission } from '../../../src/http/admission.js';
import type { OutgoingMessage, PublishOutcome } from '../../../src/messaging/message-bus.js';
import { makeFixture } from './http-fixture.js';

const command = { type: 'user.deactivate', aggregateId: 'u-1', payload: {} };
const post = { method: 'POST', url: '/commands', headers: { 'content-type': 'application/json' } } as const;

describe('admission of commands', () => {
  it('refuses new ones once it is closed, while reads and health go on', async () => {
    const posted: (readonly OutgoingMessage[])[] = [];
    const admission = makeAdmission({
      publish: async (messages) => {
        posted.push(messages);
        return messages.map(() => 'confirmed');
      },
      request: () => Promise.reject(new Error('not asked')),
    });
    const { app } = makeFixture({ bus: admission.bus });
    expect((await app.inject({ ...post, payload: command })).statusCode).to.equal(202);
    await admission.close();
    for (const url of ['/commands', '/commands?wait=1s']) {
      const refused = await app.inject({ ...post, url, payload: command });
      expect([refused.statusCode, refused.json<{ code: string }>().code]).to.deep.equal([503, 'SHUTTING_DOWN']);
      expect(refused.headers['retry-after']).to.equal('2');
    }
    expect(posted).to.have.length(1);
    expect((await app.inject('/users/u-1')).statusCode).to.equal(404);
    expect((await app.inject('/healthz')).statusCode).to.equal(200);
  });

  it('is closed when those in hand have their answer, be it an error', async () => {
    const ends: (() => void)[] = [];
    const admission = makeAdmission({
      publish: () =>
        new Promise<readonly PublishOutcome[]>((resolve) => {
          ends.push(() => {
            resolve(['confirmed']);
          });
        }),
      request: () =>
        new Promise((_, reject) => {
          ends.push(() => {
            reject(new Error('no reply'));
          });
        }),
    });
    const done: string[] = [];
    void admission.bus.publish([]).then(() => done.push('publish'));
    void admission.bus.request({} as OutgoingMessage, 1).catch(() => done.push('request'));
    const closed = admission.close().then(() => done.push('closed'));
    ends[1]?.();
    await new Promise(setImmediate);
    expect(done).to.deep.equal(['request']);
    ends[0]?.();
    await closed;
    expect(done).to.deep.equal(['request', 'publish', 'closed']);
  });
});
