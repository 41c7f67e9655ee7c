import { expect } from 'chai';
import { eventually } from '../helpers/eventually.js';
import { makeOutsideClient } from '../helpers/outside-client.js';
import { startScript, startWarren } from '../helpers/processes.js';
import { useServices } from '../helpers/services.js';

const create = (id: string, aggregateId: string) => ({
  id,
  type: 'user.create',
  aggregateId,
  payload: { email: `${aggregateId}@example.org`, name: 'Ann é "😀"' },
  metadata: { correlationId: 'c/1', actor: 'ann' },
});
const rename = (id: string, aggregateId: string, name: string) => ({
  id,
  type: 'user.update',
  aggregateId,
  payload: { name },
});

/** Commands of which the later ones build upon the earlier ones, so an answer of a later state would differ. */
const commands = ['u-1', 'u-2', 'u-3'].flatMap((user) => [
  create(`create/${user}`, user),
  rename(`$rename.${user}`, user, 'B'),
  rename(`again ${user}`, user, 'A'),
]);

for (const place of ['after-append', 'before-ack'] as const) {
  describe(`the answers of a command worker killed ${place}`, function () {
    this.timeout(90_000);
    const services = useServices();

    it('are, byte for byte, those that the same ids get ever after', async () => {
      const client = makeOutsideClient(services);
      const post = async (): Promise<void> => {
        for (const command of commands) {
          await client.publish('commands', JSON.stringify(command), { reply_to: 'outside.replies' });
        }
      };
      const killed = startScript('test/helpers/killed-command-worker.ts', [place], services.environment);
      await killed.ready;
      const replies = await client.collect('outside.replies');
      /** The answers that each command got so far. */
      const answers = (): readonly (readonly string[])[] =>
        commands.map(({ id }) =>
          replies.messages.filter(({ body }) => body['commandId'] === id).map(({ text }) => text),
        );
      try {
        await post();
        expect(await killed.ended).to.equal('SIGKILL');
        // Before the ack it has answered, after the append alone it has not.
        if (place === 'before-ack') await eventually(() => expect(replies.messages).to.not.have.lengthOf(0));
        const byKilled = answers().map(({ length }) => length);

        const worker = startWarren(['command-worker'], services.environment);
        const expectMore = (times: number) =>
          eventually(
            () => {
              const missing = answers().filter(({ length }, at) => length < (byKilled[at] ?? 0) + times);
              expect(missing).to.deep.equal([]);
            },
            { withinMs: 45_000 },
          );
        try {
          // What was not acknowledged comes again, first of all.
          await expectMore(1);
          await post();
          await expectMore(2);
        } finally {
          await worker.stop();
        }
        for (const [first, ...others] of answers()) {
          expect(JSON.parse(first ?? '')).to.include({ status: 'accepted' });
          for (const other of others) expect(other).to.equal(first);
        }
        const versions = answers().map(([text]) => (JSON.parse(text ?? '') as { version: number }).version);
        expect(versions).to.deep.equal([1, 2, 3, 1, 2, 3, 1, 2, 3]);
      } finally {
        killed.kill('SIGKILL');
        await replies.close();
      }
    });
  });
}
