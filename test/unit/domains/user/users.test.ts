import { expect } from 'chai';
import { foldKeyed } from '../../../../src/core/fold-projection.js';
import type { UserEvent } from '../../../../src/domains/user/messages.js';
import { users } from '../../../../src/domains/user/users.js';
import { recorded } from '../../../helpers/order-histories.js';

const created: UserEvent = { type: 'user.created', payload: { email: 'ann@example.org', name: 'Ann' } };
const renamed: UserEvent = { type: 'user.updated', payload: { name: 'Anna' } };
const deactivated: UserEvent = { type: 'user.deactivated', payload: {} };

const documentAfter = (...events: readonly UserEvent[]) =>
  foldKeyed(
    users,
    new Map(),
    recorded(
      'user',
      events.map((event) => ['u-1', event] as const),
    ),
  ).writes[0]?.document;

describe('users', () => {
  it('shows a user from its creation to its deactivation', () => {
    const start = { _id: 'u-1', email: 'ann@example.org', createdAt: new Date('2026-01-31T12:00:01Z') };
    expect(documentAfter(created)).to.deep.equal({
      ...start,
      version: 1,
      name: 'Ann',
      status: 'active',
      updatedAt: new Date('2026-01-31T12:00:01Z'),
    });
    expect(documentAfter(created, renamed)).to.deep.equal({
      ...start,
      version: 2,
      name: 'Anna',
      status: 'active',
      updatedAt: new Date('2026-01-31T12:00:02Z'),
    });
    expect(documentAfter(created, renamed, deactivated)).to.deep.equal({
      ...start,
      version: 3,
      name: 'Anna',
      status: 'inactive',
      updatedAt: new Date('2026-01-31T12:00:03Z'),
    });
  });
});
