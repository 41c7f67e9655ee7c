/** What travels. A NewEvent has not happened yet; a RecordedEvent has a place in the store: the compiler keeps the two apart. */

/** What the sender of a command may say about it; every string 1 to 200 characters. */
export type Metadata = {
  readonly correlationId?: string;
  readonly causationId?: string;
  readonly actor?: string;
  readonly traceparent?: string;
};

/** A request to change one aggregate. `id` is the idempotency key. */
export type Command<Type extends string = string, Payload = unknown> = {
  readonly id: string;
  readonly type: Type;
  readonly aggregateId: string;
  readonly payload: Payload;
  /** Version that the sender saw; 0 = the stream must be empty. */
  readonly expectedVersion?: number;
  readonly metadata: Metadata;
};

/** A fact that a decider proposes. */
export type NewEvent<Type extends string = string, Payload = unknown> = {
  readonly type: Type;
  readonly payload: Payload;
};

/** The events of one aggregate are one stream. */
export type StreamId = { readonly aggregateType: string; readonly aggregateId: string };

/** Why an event exists; stored with it. */
export type EventMetadata = {
  readonly commandId: string;
  readonly correlationId: string;
  readonly causationId: string;
  readonly actor?: string;
  readonly traceparent?: string;
};

/** A stored fact. `version` counts 1..n in its stream, `position` 1..N in the whole store. */
export type RecordedEvent<E extends NewEvent = NewEvent> = E &
  StreamId & {
    readonly id: string;
    readonly version: number;
    readonly position: number;
    readonly schemaVersion: number;
    readonly metadata: EventMetadata;
    readonly timestamp: Date;
  };

/** One string for a stream, usable as a map key: the type has no `/`, so two streams never share a key. */
export const streamKey = (stream: StreamId): string => `${stream.aggregateType}/${stream.aggregateId}`;
