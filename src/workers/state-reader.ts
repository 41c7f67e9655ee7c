import type { DomainIndex } from '../core/domain.js';
import { streamKey } from '../core/message.js';
import type { StateOf } from '../core/notification.js';
import { asError } from '../errors.js';
import type { Aggregates, WantedAggregate } from './aggregates.js';

type Waiting = {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly result: Promise<unknown>;
  settle: (state: Promise<unknown>) => void;
};

/** States of aggregates from the store; those asked for in one turn of the loop are read together, each once. */
export const makeStateReader = (deps: {
  readonly domains: DomainIndex;
  readonly aggregates: Pick<Aggregates, 'load'>;
}): StateOf => {
  let waiting = new Map<string, Waiting>();

  const readAll = (): void => {
    const asked = waiting;
    waiting = new Map();
    const wanted = [...asked.values()].flatMap(({ aggregateType, aggregateId }): WantedAggregate[] => {
      const domain = deps.domains.ofAggregate(aggregateType);
      return domain ? [{ stream: { aggregateType, aggregateId }, domain }] : [];
    });
    const loading = deps.aggregates.load(wanted);
    for (const [key, { aggregateType, settle }] of asked) {
      const state = async (): Promise<unknown> => {
        const loaded = (await loading).get(key);
        if (!loaded) throw new Error(`No domain has aggregates of type ${aggregateType}`);
        if ('broken' in loaded) throw asError(loaded.broken);
        return loaded.state;
      };
      settle(state());
    }
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
