import { fold } from '../core/decider.js';
import type { DomainIndex } from '../core/domain.js';
import { streamKey } from '../core/message.js';
import type { StateOf } from '../core/notification.js';
import type { EventStore } from '../event-store/event-store.js';

type Waiting = {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly result: Promise<unknown>;
  settle: (state: Promise<unknown>) => void;
};

/** States of aggregates from the store; those asked for in one turn of the loop are read in one round trip. */
export const makeStateReader = (deps: {
  readonly domains: DomainIndex;
  readonly eventStore: Pick<EventStore, 'readTails'>;
}): StateOf => {
  let waiting = new Map<string, Waiting>();

  const readAll = (): void => {
    const asked = [...waiting.values()];
    waiting = new Map();
    const tails = deps.eventStore.readTails(asked.map((stream) => ({ stream, afterVersion: 0 })));
    asked.forEach(({ aggregateType, settle }, at) => {
      const state = async (): Promise<unknown> => {
        const events = (await tails)[at] ?? [];
        const decider = deps.domains.ofAggregate(aggregateType)?.decider;
        if (!decider) throw new Error(`No domain has aggregates of type ${aggregateType}`);
        return fold(decider, decider.initialState, events);
      };
      settle(state());
    });
  };

  return (aggregateType, aggregateId) => {
    const key = streamKey({ aggregateType, aggregateId });
    const known = waiting.get(key);
    if (known) return known.result;
    if (waiting.size === 0) setImmediate(readAll);
    let settle: Waiting['settle'] = () => undefined;
    const result = new Promise<unknown>((resolve) => {
      settle = resolve;
    });
    waiting.set(key, { aggregateType, aggregateId, result, settle });
    return result;
  };
};
