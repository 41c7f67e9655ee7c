import { z } from 'zod';
import { accept, reject, type Decider } from '../../src/core/decider.js';
import { defineDomain, type Domain } from '../../src/core/domain.js';
import type { Command, NewEvent, RecordedEvent } from '../../src/core/message.js';
import type { NotificationRule } from '../../src/core/notification.js';
import type { KeyedProjection, OrderedProjection } from '../../src/core/projection.js';
import type { Upcaster } from '../../src/core/upcaster.js';
import { commitOf } from '../contract/event-store-fixtures.js';
import type { Commit } from '../../src/event-store/event-store.js';

// A domain with a past: what its events were called, and looked like, in earlier versions of the code.

type Titled = { readonly title: string; readonly language: string };
type Moved = { readonly shelf: string };
type NoteEvent = NewEvent<'note.titled', Titled> | NewEvent<'note.moved', Moved>;
type NoteCommand = Command<'note.title', Titled>;
export type Note = { readonly title?: string; readonly language?: string; readonly shelf?: string };

const payloadOf = (event: RecordedEvent): Record<string, unknown> => event.payload as Record<string, unknown>;

/** A rename: of the type and of a field. */
export const named: Upcaster = {
  type: 'note.named',
  schemaVersion: 1,
  into: [{ type: 'note.titled', schemaVersion: 1 }],
  upcast: (event) => [{ type: 'note.titled', schemaVersion: 1, payload: { title: payloadOf(event)['name'] } }],
};

/** A field that is new: the next schema version of the same type. */
export const titled: Upcaster = {
  type: 'note.titled',
  schemaVersion: 1,
  upcast: (event) => [{ type: 'note.titled', schemaVersion: 2, payload: { ...payloadOf(event), language: 'en' } }],
};

/** A split: it was two facts. */
export const filed: Upcaster = {
  type: 'note.filed',
  schemaVersion: 1,
  into: [
    { type: 'note.titled', schemaVersion: 1 },
    { type: 'note.moved', schemaVersion: 1 },
  ],
  upcast: (event) => {
    const { title, shelf } = payloadOf(event);
    return [
      { type: 'note.titled', schemaVersion: 1, payload: { title } },
      { type: 'note.moved', schemaVersion: 1, payload: { shelf } },
    ];
  },
};

/** Dropped: it means nothing any more. */
export const touched: Upcaster = { type: 'note.touched', schemaVersion: 1, into: [], upcast: () => [] };

const evolve = (note: Note, event: NoteEvent): Note => {
  switch (event.type) {
    case 'note.titled':
      // Whoever shows it an old shape is found out.
      if (typeof event.payload.language !== 'string') throw new Error('an event of an old shape');
      return { ...note, ...event.payload };
    case 'note.moved':
      return { ...note, ...event.payload };
  }
};

const decider: Decider<Note, NoteCommand, NoteEvent> = {
  initialState: {},
  decide: (command, note) =>
    command.payload.title === note.title
      ? reject('SAME_TITLE', `It is called ${note.title} already`)
      : accept({ type: 'note.titled', payload: command.payload }),
  evolve,
};

const noteEventOf = (event: RecordedEvent): NoteEvent => {
  if (event.type !== 'note.titled' && event.type !== 'note.moved') throw new Error(`an old event, ${event.type}`);
  return event as unknown as NoteEvent;
};

export const notes: KeyedProjection<Note> = {
  kind: 'keyed',
  name: 'notes',
  evolve: (note, event) => ({ ...evolve(note ?? {}, noteEventOf(event)) }),
};

/** How many events there are of each type. */
export const noteTypes: OrderedProjection<{ readonly count: number }> = {
  kind: 'ordered',
  name: 'note_types',
  track: () => ({}),
  keysOf: ({ event }) => [noteEventOf(event).type],
  evolve: (doc) => ({ count: (doc?.count ?? 0) + 1 }),
};

const moves: NotificationRule = {
  name: 'moves',
  events: ['note.moved'],
  recipient: async ({ aggregateId }) => aggregateId,
  text: (event) => ({ subject: 'Moved', text: `Moved to ${String(payloadOf(event)['shelf'])}` }),
};

const title = z.strictObject({ title: z.string(), language: z.string() });

export const noteDomain: Domain = defineDomain<Note, NoteCommand, NoteEvent>({
  aggregateType: 'note',
  commands: { 'note.title': title },
  events: {
    'note.titled': { schema: title, schemaVersion: 2 },
    'note.moved': { schema: z.strictObject({ shelf: z.string() }), schemaVersion: 1 },
  },
  upcasters: [named, titled, filed, touched],
  decider,
  projections: [notes, noteTypes],
  notifications: [moves],
  queries: [
    {
      kind: 'get',
      name: 'note.get',
      path: '/notes/:id',
      summary: 'A note',
      projection: 'notes',
      document: z.object({}),
    },
    {
      kind: 'list',
      name: 'note.list',
      path: '/notes',
      summary: 'Notes',
      projection: 'notes',
      document: z.object({}),
      filters: {},
    },
  ],
});

type Old = readonly [type: string, payload: object, schemaVersion?: number];

/** As earlier versions of the code wrote it. */
export const oldCommit = (aggregateId: string, expectedVersion: number, ...events: readonly Old[]): Commit =>
  commitOf(aggregateId, expectedVersion, [], {
    stream: { aggregateType: 'note', aggregateId },
    events: events.map(([type, payload, schemaVersion = 1]) => ({ type, payload, schemaVersion })),
  });

/** One stored event of the domain, at position 7, version 3 of its stream. */
export const storedNote = (...[type, payload, schemaVersion = 1]: Old): RecordedEvent => ({
  id: 'e-7',
  type,
  payload,
  schemaVersion,
  aggregateType: 'note',
  aggregateId: 'n-1',
  version: 3,
  position: 7,
  metadata: { commandId: 'c-7', correlationId: 'c-7', causationId: 'c-7' },
  timestamp: new Date('2026-01-31T12:00:00.000Z'),
});
