import { expect } from 'chai';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replayParked } from '../../src/operations/parked/replay.js';
import { eventually } from '../helpers/eventually.js';
import { parkedRenames, parkRenames, waitingIn, withOperator } from '../helpers/parked-commands.js';
import { startScript } from '../helpers/processes.js';
import { describeReplayKill } from '../helpers/replay-kill.js';
import { useServices } from '../helpers/services.js';

describeReplayKill(1_000, 60_000);

describe('an operator killed', function () {
  this.timeout(60_000);
  const services = useServices();
  let folder: string;

  const kill = async (...args: readonly string[]): Promise<void> => {
    const killed = startScript('test/helpers/killed-operator.ts', args, services.environment);
    expect(await killed.ended, killed.lines.join('\n')).to.equal('SIGKILL');
  };
  const replay = async (id: string): Promise<void> => {
    await withOperator(services, (deps) => replayParked(deps, { queue: 'commands', ids: [id] }));
  };
  const expectParked = (count: number): Promise<void> =>
    eventually(async () => {
      expect(await waitingIn(services, 'commands.parked')).to.equal(count);
    });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'warren-operator-'));
    await parkRenames(services, 300);
  });
  after(() => rm(folder, { recursive: true }));

  it('while he discards, before the ack: what is in the copy is still parked', async () => {
    const copy = join(folder, 'copy.ndjson');
    await kill('discard', 'after-fsync', '2', copy);
    await expectParked(200);
    expect((await readFile(copy, 'utf8')).trimEnd().split('\n')).to.have.length(200);
  });

  it('while he edits, with the copy parked and the first still there: a replay sends the copy alone', async () => {
    const edited = { id: 'name-101', type: 'user.update', aggregateId: 'u-1', payload: { name: 'edited' } };
    await kill('edit', 'after-copy', '1', JSON.stringify(edited));
    await expectParked(201);
    const before = await waitingIn(services, 'commands');
    await replay('name-101');
    expect(await waitingIn(services, 'commands'), 'the first was replayed').to.equal(before);
    const copy = (await parkedRenames(services)).at(-1);
    expect(copy?.payload.name).to.equal('edited');
    expect(copy?.id).not.to.equal('name-101');
    await expectParked(201);
    await replay(copy?.id ?? '');
    expect(await waitingIn(services, 'commands')).to.equal(before + 1);
    expect((await parkedRenames(services)).map(({ id }) => id)).to.not.include.members(['name-101']);
    await expectParked(199);
  });

  it('while he edits, with the first gone: the copy is parked under its new id, and is replayed as any other', async () => {
    const edited = { id: 'name-102', type: 'user.update', aggregateId: 'u-2', payload: { name: 'edited too' } };
    await kill('edit', 'after-swap', '1', JSON.stringify(edited));
    await expectParked(199);
    const copy = (await parkedRenames(services)).at(-1);
    expect(copy?.payload.name).to.equal('edited too');
    await expectParked(199);
    const before = await waitingIn(services, 'commands');
    await replay(copy?.id ?? '');
    expect(await waitingIn(services, 'commands')).to.equal(before + 1);
    await expectParked(198);
  });
});
