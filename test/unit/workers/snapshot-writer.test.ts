import { expect } from 'chai';
import { z } from 'zod';
import type { Snapshot } from '../../../src/event-store/event-store.js';
import { makeSnapshotWriter, type SnapshotOffer } from '../../../src/workers/snapshot-writer.js';
import { eventually } from '../../helpers/eventually.js';
import { makeRecordingLog } from '../../helpers/recording-log.js';

const policy = { every: 10, snapshotVersion: 1, state: z.int() };

const offerOf = (aggregateId: string, version: number, changes: Partial<SnapshotOffer> = {}): SnapshotOffer => ({
  policy,
  stream: { aggregateType: 'thing', aggregateId },
  version,
  eventId: `e-${version}`,
  state: version,
  overwrite: false,
  ...changes,
});

/** A writer whose writes end when the test says so, one by one or all from now on, and what was written: `<id>@<version>`, with `!` to overwrite. */
const setUp = (failing: () => boolean = () => false) => {
  const { log, lines } = makeRecordingLog();
  const written: string[] = [];
  const ends: (() => void)[] = [];
  let isOpen = false;
  const write = async ({ stream, version }: Snapshot, options?: { readonly overwrite?: boolean }): Promise<void> => {
    written.push(`${stream.aggregateId}@${version}${options?.overwrite === true ? '!' : ''}`);
    if (!isOpen) await new Promise<void>((resolve) => ends.push(resolve));
    if (failing()) throw new Error('no room');
  };
  /** Ends a write that is under way, as soon as there is one. */
  const end = () =>
    eventually(() => {
      const resolve = ends.shift();
      if (!resolve) throw new Error('no write is under way');
      resolve();
    });
  const endAll = () => {
    isOpen = true;
    ends.splice(0).forEach((resolve) => {
      resolve();
    });
  };
  return { writer: makeSnapshotWriter({ snapshots: { write }, log }), written, end, endAll, lines };
};

describe('snapshot writer', () => {
  it('writes nothing before the caller goes on', async () => {
    const { writer, written, end } = setUp();
    writer.offer(offerOf('a', 10));
    await Promise.resolve();
    expect(written).to.deep.equal([]);
    await end();
    await writer.stop();
    expect(written).to.deep.equal(['a@10']);
  });

  it('writes one at a time, and of a stream that waits the latest only', async () => {
    const { writer, written, end } = setUp();
    writer.offer(offerOf('a', 10));
    await eventually(() => {
      expect(written).to.deep.equal(['a@10']);
    });
    for (const offer of [offerOf('b', 10), offerOf('a', 20), offerOf('b', 20), offerOf('a', 30)]) writer.offer(offer);
    await end();
    await eventually(() => {
      expect(written).to.deep.equal(['a@10', 'b@20']);
    });
    await end();
    await end();
    await writer.stop();
    expect(written).to.deep.equal(['a@10', 'b@20', 'a@30']);
  });

  it('still overwrites what was found to be useless when a later offer takes the place of the first', async () => {
    const { writer, written, end } = setUp();
    writer.offer(offerOf('a', 10, { overwrite: true }));
    writer.offer(offerOf('a', 20));
    await end();
    await writer.stop();
    expect(written).to.deep.equal(['a@20!']);
  });

  it('drops what is more than a thousand streams, and takes them again when there is room', async () => {
    const { writer, written, endAll } = setUp();
    for (let index = 1; index <= 1001; index += 1) writer.offer(offerOf(`a-${index}`, 10));
    // One of those that wait already takes no room.
    writer.offer(offerOf('a-1000', 20));
    endAll();
    await eventually(() => {
      expect(written).to.have.lengthOf(1000);
    });
    writer.offer(offerOf('last', 10));
    await writer.stop();
    expect(written).to.have.lengthOf(1001);
    expect(written.slice(-2)).to.deep.equal(['a-1000@20', 'last@10']);
  });

  it('goes on after a write that failed, and says so once until one succeeds', async () => {
    let isFailing = true;
    const { writer, written, end, lines } = setUp(() => isFailing);
    for (const id of ['a', 'b', 'c', 'd']) writer.offer(offerOf(id, 10));
    await end();
    await end();
    await eventually(() => {
      expect(written).to.deep.equal(['a@10', 'b@10', 'c@10']);
    });
    const warning = 'warn: cannot write snapshots; long streams load slower';
    expect(lines).to.deep.equal([warning]);
    isFailing = false;
    await end();
    await eventually(() => {
      expect(written).to.have.lengthOf(4);
    });
    isFailing = true;
    await end();
    await writer.stop();
    expect(lines).to.deep.equal([warning, warning]);
  });

  it('never writes a state that does not match its schema or is not plain data', async () => {
    const { writer, written, end, lines } = setUp();
    writer.offer(offerOf('a', 10, { state: 'ten' }));
    writer.offer(offerOf('b', 10, { policy: { ...policy, state: z.unknown() }, state: new Map() }));
    writer.offer(offerOf('c', 10));
    await end();
    await writer.stop();
    expect(written).to.deep.equal(['c@10']);
    expect(lines).to.have.lengthOf(1);
  });

  it('writes what waits before it stops, and nothing that is offered after', async () => {
    const { writer, written, end } = setUp();
    writer.offer(offerOf('a', 10));
    writer.offer(offerOf('b', 10));
    let isStopped = false;
    const stopped = writer.stop().then(() => {
      isStopped = true;
    });
    writer.offer(offerOf('c', 10));
    await end();
    await eventually(() => {
      expect(written).to.deep.equal(['a@10', 'b@10']);
    });
    expect(isStopped).to.equal(false);
    await end();
    await stopped;
    expect(written).to.deep.equal(['a@10', 'b@10']);
  });

  it('gives up what waits when writing fails while it stops', async () => {
    const { writer, written, end } = setUp(() => true);
    for (const id of ['a', 'b', 'c']) writer.offer(offerOf(id, 10));
    const stopped = writer.stop();
    await end();
    await stopped;
    expect(written).to.deep.equal(['a@10']);
  });
});
