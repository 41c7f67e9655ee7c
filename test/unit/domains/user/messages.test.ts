import { expect } from 'chai';
import { createUser, deactivateUser, updateUser } from '../../../../src/domains/user/messages.js';

const ann = { email: 'ann@example.org', name: 'Ann' };

describe('payloads of user commands', () => {
  const rows = [
    ['user.create', createUser, 'email and name', ann, true],
    ['user.create', createUser, 'a name of 1,000 characters beyond U+FFFF', { ...ann, name: '😀'.repeat(1000) }, true],
    ['user.create', createUser, 'an address of 254 characters', { ...ann, email: `ann@${'a.'.repeat(123)}orge` }, true],
    [
      'user.create',
      createUser,
      'an address of 255 characters',
      { ...ann, email: `ann@${'a.'.repeat(123)}orges` },
      false,
    ],
    ['user.create', createUser, 'no name', { email: ann.email }, false],
    ['user.create', createUser, 'no email', { name: ann.name }, false],
    ['user.create', createUser, 'an email without @', { ...ann, email: 'ann.example.org' }, false],
    ['user.create', createUser, 'two addresses', { ...ann, email: 'ann@example.org, bob@example.org' }, false],
    ['user.create', createUser, 'an email with a line break', { ...ann, email: 'ann@example.org\nBcc: x@y.zz' }, false],
    ['user.create', createUser, 'an empty name', { ...ann, name: '' }, false],
    ['user.create', createUser, 'a name of 1,001 characters', { ...ann, name: 'n'.repeat(1001) }, false],
    ['user.create', createUser, 'a name with a line break', { ...ann, name: 'Ann\nBob' }, false],
    ['user.create', createUser, 'a name with half a surrogate pair', { ...ann, name: 'Ann\ud800' }, false],
    ['user.create', createUser, 'a name that is a number', { ...ann, name: 1 }, false],
    ['user.create', createUser, 'an unknown key', { ...ann, admin: true }, false],
    ['user.update', updateUser, 'a name', { name: 'Anna' }, true],
    ['user.update', updateUser, 'nothing', {}, false],
    ['user.update', updateUser, 'an email', { name: 'Anna', email: ann.email }, false],
    ['user.deactivate', deactivateUser, 'nothing', {}, true],
    ['user.deactivate', deactivateUser, 'a reason', { reason: 'gone' }, false],
    ['user.deactivate', deactivateUser, 'null', null, false],
  ] as const;
  for (const [type, schema, what, payload, taken] of rows) {
    it(`${type} ${taken ? 'takes' : 'refuses'} ${what}`, () => {
      const parsed = schema.safeParse(payload);
      expect(parsed.success).to.equal(taken);
      if (taken) expect(parsed.data).to.deep.equal(payload);
    });
  }
});
