import { userDecider } from '../../../../src/domains/user/decider.js';
import type { UserEvent } from '../../../../src/domains/user/messages.js';
import { given } from '../../../helpers/given-when-then.js';

const ann = { email: 'ann@example.org', name: 'Ann' };
const created: UserEvent = { type: 'user.created', payload: ann };
const renamed: UserEvent = { type: 'user.updated', payload: { name: 'Anna' } };
const deactivated: UserEvent = { type: 'user.deactivated', payload: {} };

const create = { type: 'user.create', payload: ann } as const;
const rename = { type: 'user.update', payload: { name: 'Anna' } } as const;
const deactivate = { type: 'user.deactivate', payload: {} } as const;

describe('user decider', () => {
  it('creates a user', () => {
    given(userDecider).when(create).accepts(created);
  });

  it('refuses a second create, of a deactivated user too', () => {
    given(userDecider, created).when(create).rejects('USER_ALREADY_EXISTS');
    given(userDecider, created, deactivated).when(create).rejects('USER_ALREADY_EXISTS');
  });

  it('updates the name of an active user', () => {
    given(userDecider, created).when(rename).accepts(renamed);
  });

  it('accepts an update to the name that the user has, without an event', () => {
    given(userDecider, created, renamed).when(rename).accepts();
    given(userDecider, created, renamed)
      .when({ type: 'user.update', payload: { name: 'Ann' } })
      .accepts({ type: 'user.updated', payload: { name: 'Ann' } });
  });

  it('refuses to update a user that is not active', () => {
    given(userDecider).when(rename).rejects('USER_NOT_FOUND');
    given(userDecider, created, deactivated).when(rename).rejects('USER_NOT_ACTIVE');
  });

  it('deactivates an active user', () => {
    given(userDecider, created, renamed).when(deactivate).accepts(deactivated);
  });

  it('refuses to deactivate a user that is not active', () => {
    given(userDecider).when(deactivate).rejects('USER_NOT_FOUND');
    given(userDecider, created, deactivated).when(deactivate).rejects('USER_NOT_ACTIVE');
  });
});
