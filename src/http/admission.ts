import type { MessageBus } from '../messaging/message-bus.js';
import { unavailable } from './problems.js';

type Posting = Pick<MessageBus, 'publish' | 'request'>;

export type Admission = {
  /** For the routes that post. @throws HttpProblem 503 SHUTTING_DOWN, once it is closed */
  readonly bus: Posting;
  /** Lets no more in; resolves when those in hand have their answer. */
  close(): Promise<void>;
};

/** Lets a process that drains go on answering reads and health, while it takes no more commands. */
export const makeAdmission = (bus: Posting): Admission => {
  const inHand = new Set<Promise<unknown>>();
  let closed = false;

  const admit = async <T>(post: () => Promise<T>): Promise<T> => {
    if (closed) throw unavailable('SHUTTING_DOWN', 'This process takes no more commands; ask another, or again');
    const posted = post();
    inHand.add(posted);
    try {
      return await posted;
    } finally {
      inHand.delete(posted);
    }
  };

  return {
    bus: {
      publish: (...args) => admit(() => bus.publish(...args)),
      request: (...args) => admit(() => bus.request(...args)),
    },
    close: async () => {
      closed = true;
      await Promise.allSettled(inHand);
    },
  };
};
