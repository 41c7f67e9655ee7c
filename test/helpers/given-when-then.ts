import { expect } from 'chai';
import { fold, type Decider } from '../../src/core/decider.js';
import type { Command, NewEvent } from '../../src/core/message.js';

/** What a test says of a command: the rest does not matter to the rules. */
type Essence<C extends Command> = C extends Command ? Pick<C, 'type' | 'payload'> : never;

/**
 * The rules of a decider as sentences:
 *
 *     given(decider, created, paid).when(ship).accepts(shipped);
 *     given(decider).when(pay).rejects('ORDER_NOT_FOUND');
 */
export const given = <State, C extends Command, E extends NewEvent>(
  decider: Decider<State, C, E>,
  ...events: readonly E[]
) => ({
  when: (essence: Essence<C>) => {
    const command = { ...essence, id: 'c-1', aggregateId: 'a-1', metadata: {} } as unknown as C;
    const state = fold(decider, decider.initialState, events);
    const decision = decider.decide(command, state, { now: new Date('2026-01-31T12:00:00Z') });
    return {
      accepts: (...expected: readonly E[]): void => {
        expect(decision).to.deep.equal({ accepted: true, events: expected });
      },
      rejects: (code: string): void => {
        expect(decision).to.include({ accepted: false, code });
        expect(decision)
          .to.have.property('message')
          .that.matches(/\S+ \S+/);
      },
    };
  },
});
