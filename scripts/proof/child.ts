import { runProofChild } from '../../src/proof/child.js';
import { makeProofStore } from '../../src/compose.js';

// A process of the proof suite; `scripts/proof/parts.ts` says how it is started.
await runProofChild(process.argv.slice(2), { makeStore: makeProofStore });
