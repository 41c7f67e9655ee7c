import { z } from 'zod';
import type { ParkedMessage } from '../../messaging/parked-message.js';

/** What stands for a type that nobody can tell. */
export const noType = '-';

/** Which messages of a parked queue; the descriptions say in words what is taken, for whoever is asked for it. */
export const parkedFilter = z.strictObject({
  queue: z.string().min(1).describe('the name of a queue'),
  /** Keys or message ids. */
  ids: z.array(z.string().min(1)).optional().describe('a key or message id that list or show gave'),
  reason: z.string().min(1).optional().describe('a reason such as SCHEMA'),
  type: z.string().min(1).optional().describe('a message type, or - for those without one'),
  limit: z.int().min(1).optional().describe('a whole number, 1 or more'),
});

/** To do something with all of them must be said. */
export const parkedSelection = z
  .strictObject({ ...parkedFilter.shape, all: z.literal(true).optional() })
  .refine(({ ids, reason, type, all }) => (ids ?? reason ?? type ?? all) !== undefined, {
    message: 'say which messages: by id, reason or type, or all of them',
  });

type Filter = Pick<z.infer<typeof parkedFilter>, 'ids' | 'reason' | 'type'>;

export const isSelected = ({ ids, reason, type }: Filter, parked: ParkedMessage): boolean =>
  (ids === undefined || ids.includes(parked.key) || (parked.messageId !== null && ids.includes(parked.messageId))) &&
  (reason === undefined || parked.reason === reason) &&
  (type === undefined || (parked.type ?? noType) === type);
