import { expect } from 'chai';
import type { RecordedEvent } from '../../src/core/message.js';
import { streamKey } from '../../src/core/message.js';
import type { AppendOutcome, Commit } from '../../src/event-store/event-store.js';
import { positionOf, upTo } from './event-store-fixtures.js';

/** A call of `append` and its answer. */
export type AppendCall = { readonly commits: readonly Commit[]; readonly outcomes: readonly AppendOutcome[] };

/** Versions 1..n in each stream; gives n of each. */
const versionsIn = (events: readonly RecordedEvent[]): ReadonlyMap<string, number> => {
  const versions = new Map<string, number>();
  for (const event of events) {
    const key = streamKey(event);
    expect(event.version, `version in ${key}`).to.equal((versions.get(key) ?? 0) + 1);
    versions.set(key, event.version);
  }
  return versions;
};

const commandsIn = (events: readonly RecordedEvent[]): ReadonlyMap<string, readonly RecordedEvent[]> => {
  const commands = new Map<string, RecordedEvent[]>();
  for (const event of events) {
    const { commandId } = event.metadata;
    commands.set(commandId, [...(commands.get(commandId) ?? []), event]);
  }
  return commands;
};

/** `thing/a@3+2 conflict 4`: expects version 3, has two events, the actual version is 4. */
const tell = ({ commits, outcomes }: AppendCall): string =>
  commits
    .map(({ stream, expectedVersion, events, metadata }, at) => {
      const outcome = outcomes[at];
      const actual = outcome?.status === 'conflict' ? ` ${outcome.actualVersion}` : '';
      const place = `${streamKey(stream)}@${expectedVersion}+${events.length}`;
      return `${place} (${metadata.commandId}) ${outcome?.status ?? 'nothing'}${actual}`;
    })
    .join('; ');

/**
 * Calls that ran at once left what the same commits would leave in some order, one after the other, that order being
 * the positions: `before` and `after` are all events of the store.
 */
export const expectSerial = (
  before: readonly RecordedEvent[],
  calls: readonly AppendCall[],
  after: readonly RecordedEvent[],
): void => {
  expect(after.map(positionOf)).to.deep.equal(upTo(after.length));
  expect(after.slice(0, before.length)).to.deep.equal(before);
  const [versionsBefore, versionsAfter] = [versionsIn(before), versionsIn(after)];
  const [commandsBefore, commandsAfter] = [commandsIn(before), commandsIn(after)];
  const answered: RecordedEvent[] = [];

  const told = calls.map(tell);
  for (const call of calls) {
    const { commits, outcomes } = call;
    expect(outcomes).to.have.lengthOf(commits.length);
    // The version to which a commit that was not taken would have brought its stream: who expects it, or a later one,
    // built upon that commit.
    const lost = new Map<string, number>();
    commits.forEach((commit, at) => {
      const key = streamKey(commit.stream);
      const { commandId } = commit.metadata;
      const outcome = outcomes[at];
      const builtUponLost = commit.expectedVersion >= (lost.get(key) ?? Infinity);
      if (outcome?.status !== 'appended') {
        lost.set(key, Math.min(lost.get(key) ?? Infinity, commit.expectedVersion + commit.events.length));
      }
      const stored = commandsAfter.get(commandId);
      const text = `commit ${at} of ${told[calls.indexOf(call)] ?? ''}, all calls: ${told.join(' | ')}`;
      if (commandsBefore.has(commandId)) expect(outcome?.status, `a stored id: ${text}`).to.equal('duplicate');
      switch (outcome?.status) {
        case 'appended':
          expect(builtUponLost, `built upon a lost commit: ${text}`).to.equal(false);
          expect(outcome.events).to.deep.equal(stored);
          expect(outcome.events.map(({ version }) => version)).to.deep.equal(
            commit.events.map((_, index) => commit.expectedVersion + 1 + index),
          );
          expect(outcome.events.map(({ type, payload }) => ({ type, payload }))).to.deep.equal(
            commit.events.map(({ type, payload }) => ({ type, payload })),
          );
          answered.push(...outcome.events);
          break;
        case 'duplicate':
          expect(stored, `nothing is stored of ${commandId}`).to.not.equal(undefined);
          expect(outcome.events).to.deep.equal(stored);
          break;
        case 'conflict':
          expect(outcome.expectedVersion).to.equal(commit.expectedVersion);
          expect(outcome.actualVersion).to.be.within(versionsBefore.get(key) ?? 0, versionsAfter.get(key) ?? 0);
          if (!builtUponLost) expect(outcome.actualVersion).to.not.equal(outcome.expectedVersion);
          break;
        case 'unstorable':
        case undefined:
          expect.fail(`no outcome of a commit that can be stored: ${text}`);
      }
    });
  }
  answered.sort((a, b) => a.position - b.position);
  expect(answered, 'what was answered and what is stored').to.deep.equal(after.slice(before.length));
};
