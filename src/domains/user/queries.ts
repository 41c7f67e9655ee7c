import { z } from 'zod';
import type { Query } from '../../core/query.js';
import { users, userStatuses } from './users.js';

const document = z.object({
  email: z.string(),
  name: z.string(),
  status: z.enum(userStatuses),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});

export const userQueries: readonly Query[] = [
  {
    name: 'user.get',
    path: '/users/:id',
    summary: 'One user',
    projection: users.name,
    document,
    kind: 'get',
  },
  {
    name: 'user.list',
    path: '/users',
    summary: 'Users by id, all or those of one status',
    projection: users.name,
    document,
    kind: 'list',
    filters: { status: z.enum(userStatuses) },
  },
];
