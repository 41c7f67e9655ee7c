import { expect } from 'chai';
import { linesSaying, useProcesses } from '../helpers/used-processes.js';

/** Runs in the process beside it, as a fault of a library would. */
const faults = {
  'a promise that nobody waits for': 'Promise.reject(new Error("planted fault"))',
  'an exception in a callback': 'throw new Error("planted fault")',
} as const;

describe('a fault that nobody expected', function () {
  this.timeout(20_000);
  const processes = useProcesses();

  for (const [title, code] of Object.entries(faults)) {
    it(`ends the process with 70 and a fatal line, never lives on in silence: ${title}`, async () => {
      const module = `process.on('SIGUSR2', () => setImmediate(() => { ${code} }))`;
      const role = await processes.startReady([], {
        HTTP_PORT: '0',
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(module)}`,
      });
      role.kill('SIGUSR2');
      expect(await role.ended).to.equal(70);
      const [fatal] = linesSaying(role, ({ level }) => level === 60);
      expect(fatal).to.have.nested.property('err.message', 'planted fault');
      expect(linesSaying(role, ({ msg }) => msg === 'stopped')).to.deep.equal([]);
    });
  }
});
