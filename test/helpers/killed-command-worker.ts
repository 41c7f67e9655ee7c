import { loadConfig } from '../../src/config.js';
import { runRole } from '../../src/lifecycle.js';
import { makeLogger } from '../../src/logger.js';

// A command worker that is a real one in all but this: at the place named by its argument it is killed, as by kill -9.
const place = process.argv[2];
const config = loadConfig();

runRole({
  role: 'command-worker',
  names: [],
  config,
  log: makeLogger(config.log.level),
  reached: (point) => {
    if (point !== place) return;
    process.kill(process.pid, 'SIGKILL');
    // The signal may take a moment; not one line more may run.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  },
});
