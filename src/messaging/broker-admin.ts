import type { BindingSpec, ExchangeSpec, QueueSpec, Topology } from './message-bus.js';

export type Argument = string | number | boolean;

/** One argument or property that the broker has otherwise; null: it is not set. */
export type Difference = { readonly name: string; readonly found: Argument | null; readonly wanted: Argument | null };

export type ExchangeDrift = {
  readonly name: string;
  readonly state: 'same' | 'missing' | 'differs';
  readonly differences: readonly Difference[];
};

export type QueueCount = {
  /** Those that wait; what is in somebody's hand does not count. */
  readonly messages: number;
  readonly consumers: number;
};

export type QueueDrift = ExchangeDrift &
  QueueCount & {
    /** A migration of it was begun and not ended: its holding queue is there. */
    readonly moving: boolean;
  };

export type Drift = { readonly queues: readonly QueueDrift[]; readonly exchanges: readonly ExchangeDrift[] };

export type PolicyView = {
  readonly name: string;
  /** Regular expression over names of queues. */
  readonly pattern: string;
  readonly definition: Readonly<Record<string, unknown>>;
};

/** What only the management API tells, of this vhost. */
export type ManagementView = {
  /** Those that outlive the connection that made them. */
  readonly queues: readonly { readonly name: string; readonly messages: number; readonly consumers: number }[];
  /** Without those of the default exchange. */
  readonly bindings: readonly BindingSpec[];
  readonly policies: readonly PolicyView[];
  /** The tag of ours says which process it is. */
  readonly consumers: readonly { readonly queue: string; readonly tag: string }[];
};

/** Why there is no view, for a person. */
export type NoView = { readonly unavailable: string };

/**
 * What operators do to queues and exchanges as such; roles use the MessageBus. On one connection, which is not opened
 * again: what fails is started again, by the operator.
 *
 * Every function @throws WarrenError BROKER_UNAVAILABLE when the connection is gone.
 */
export type BrokerAdmin = {
  /** Finds every difference by AMQP alone, and changes nothing. */
  compare(topology: Topology): Promise<Drift>;
  /** Asked anew each time; never rejects. */
  view(): Promise<ManagementView | NoView>;
  /** Null: there is no such queue. */
  countOf(queue: string): Promise<QueueCount | null>;
  /** Messages that do not wait: in somebody's hand, or dead and not where they go to. Null: nobody can tell. */
  hiddenIn(queue: string): Promise<number | null>;
  /** @throws WarrenError TOPOLOGY there is another one of that name */
  declare(topology: Topology): Promise<void>;
  bind(binding: BindingSpec): Promise<void>;
  /** Is done when there is no such binding. */
  unbind(binding: BindingSpec): Promise<void>;
  /** With all that is in it; is done when there is no such queue. */
  deleteQueue(queue: string): Promise<void>;
  /** Could `closeToSenders` do it? Null: yes; else why not, for a person. */
  mayClose(queue: string): Promise<string | null>;
  /**
   * From now on the broker refuses what is sent to the queue, whoever sends it, as long as a message waits in it: by a
   * policy, since nothing of AMQP does it. Senders are told one after the other, within moments.
   */
  closeToSenders(queue: string): Promise<void>;
  /** Is done when it was not closed. */
  openToSenders(queue: string): Promise<void>;
  /** Puts a marker behind all that waits in the queue, closed or not; it arrives soon, in the order of the calls. */
  mark(queue: string, id: string): Promise<void>;
  /**
   * Takes at most `max` messages from the head of a queue and puts them, confirmed, into the other before it acks them:
   * a kill leaves them in both. Markers are dropped. Gives in the order of the queue the id of each marker, null for
   * each message; fewer than `max`: somebody else took the rest.
   */
  move(from: string, to: string, max: number): Promise<readonly (string | null)[]>;
  /** Held until `close`, also by a kill. @throws WarrenError QUEUE_BUSY another operator has it */
  lock(name: string): Promise<void>;
  close(): Promise<void>;
};

/** For the type of those that declare parts of a topology. */
export const topologyPart = (part: {
  readonly queues?: readonly QueueSpec[];
  readonly exchanges?: readonly ExchangeSpec[];
  readonly bindings?: readonly BindingSpec[];
}): Topology => ({ queues: [], exchanges: [], bindings: [], ...part });
