import type { Command, RecordedEvent } from './message.js';

/** Why a command was not accepted: a stable code and a sentence for a person. */
export type ReplyError = { readonly code: string; readonly message: string };

/** What the sender of a command is told: over `reply_to`, and as the body of the HTTP answer. */
export type Reply =
  | {
      readonly commandId: string;
      readonly status: 'accepted';
      readonly aggregateId: string;
      /** Version of the stream after the command. */
      readonly version: number;
      readonly events: readonly {
        readonly id: string;
        readonly type: string;
        readonly version: number;
        readonly position: number;
      }[];
    }
  | {
      readonly commandId: string;
      readonly status: 'rejected' | 'conflict';
      readonly aggregateId: string;
      /** Version of the stream that the answer is about. */
      readonly version: number;
      readonly error: ReplyError;
    }
  | {
      readonly commandId: string | null;
      readonly status: 'invalid';
      readonly aggregateId?: string;
      readonly error: ReplyError;
    };

/** `version` is that of the last event; with no events, that of the stream as it was found. */
export const acceptedReply = (command: Command, events: readonly RecordedEvent[], version: number): Reply => ({
  commandId: command.id,
  status: 'accepted',
  aggregateId: command.aggregateId,
  version: events.at(-1)?.version ?? version,
  events: events.map((event) => ({ id: event.id, type: event.type, version: event.version, position: event.position })),
});

export const rejectedReply = (command: Command, version: number, error: ReplyError): Reply => ({
  commandId: command.id,
  status: 'rejected',
  aggregateId: command.aggregateId,
  version,
  error: { code: error.code, message: error.message },
});

export const conflictReply = (command: Command, actualVersion: number): Reply => ({
  commandId: command.id,
  status: 'conflict',
  aggregateId: command.aggregateId,
  version: actualVersion,
  error: {
    code: 'VERSION_CONFLICT',
    message: `Expected version ${command.expectedVersion ?? '?'} of ${command.aggregateId}, it is at ${actualVersion}; read it again and decide anew`,
  },
});
