import type { RecordedEvent } from '../../core/message.js';
import type { KeyedProjection } from '../../core/projection.js';
import type { UserEvent } from './messages.js';

export const userStatuses = ['active', 'inactive'] as const;

export type UserDocument = {
  readonly email: string;
  readonly name: string;
  readonly status: (typeof userStatuses)[number];
  readonly createdAt: Date;
  readonly updatedAt: Date;
};

const evolve = (doc: UserDocument | null, event: RecordedEvent<UserEvent>): UserDocument => {
  const updatedAt = event.timestamp;
  if (event.type === 'user.created') {
    const { email, name } = event.payload;
    return { email, name, status: 'active', createdAt: updatedAt, updatedAt };
  }
  if (!doc) throw new Error(`${event.type} of ${event.aggregateId} comes before user.created`);
  switch (event.type) {
    case 'user.updated':
      return { ...doc, name: event.payload.name, updatedAt };
    case 'user.deactivated':
      return { ...doc, status: 'inactive', updatedAt };
  }
};

export const users: KeyedProjection<UserDocument> = {
  kind: 'keyed',
  name: 'users',
  // A list of one status goes on after an id, so the id is part of the index.
  indexes: [{ status: 1, _id: 1 }],
  evolve: (doc, event) => evolve(doc, event as RecordedEvent<UserEvent>),
};
