'use strict';

const { writeFileSync } = require('node:fs');
const Mocha = require('mocha');

/** Mocha's own report; then the counts of the runner, `<passed> <failed>`, in the file that TEST_COUNTS names. */
module.exports = class CountingReporter extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = runner.stats;
      writeFileSync(process.env.TEST_COUNTS, `${passes} ${failures + pending}\n`);
    });
  }
};
