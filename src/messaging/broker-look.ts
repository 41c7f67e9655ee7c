/** One host of the broker URL. */
export type HostLook = { readonly name: string } & (
  { readonly answers: true; readonly version: string } | { readonly answers: false; readonly problem: string }
);

/** What the management API tells of the cluster. */
export type ClusterLook = {
  readonly nodes: readonly {
    readonly name: string;
    readonly running: boolean;
    readonly memoryAlarm: boolean;
    readonly diskAlarm: boolean;
  }[];
  /** Quorum queues of this vhost: nodes that hold a copy, and those of them that are there. */
  readonly queues: readonly { readonly name: string; readonly members: number; readonly online: number }[];
  /** How far its clock is ahead of ours; exact to a second. */
  readonly clockAheadMs: number;
};

/** What `warren doctor` asks of a broker. Nothing of it changes anything there. */
export type BrokerLook = {
  /** Connects to each host on its own; never rejects. */
  hosts(): Promise<readonly HostLook[]>;
  /** What this user may not do, in words; empty: all that was tried, which is everything but to consume. */
  refusals(): Promise<readonly string[]>;
  /** Does it take no messages just now, in an alarm? Found by sending one that reaches no queue. */
  isBlocked(): Promise<boolean>;
  /** A text: why there is no view. */
  cluster(): Promise<ClusterLook | string>;
};
