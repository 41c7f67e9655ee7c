import { defineDomain } from '../../core/domain.js';
import { userDecider } from './decider.js';
import { createUser, deactivateUser, updateUser, userCreated, userDeactivated, userUpdated } from './messages.js';
import { welcome } from './notifications.js';
import { userQueries } from './queries.js';
import { users } from './users.js';

export const userDomain = defineDomain({
  aggregateType: 'user',
  commands: { 'user.create': createUser, 'user.update': updateUser, 'user.deactivate': deactivateUser },
  events: {
    'user.created': { schema: userCreated, schemaVersion: 1 },
    'user.updated': { schema: userUpdated, schemaVersion: 1 },
    'user.deactivated': { schema: userDeactivated, schemaVersion: 1 },
  },
  decider: userDecider,
  projections: [users],
  notifications: [welcome],
  queries: userQueries,
});
