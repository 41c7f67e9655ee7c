/**
 * The dependency rule of docs/architecture.md: domains → core; core → port types; workers → core and ports;
 * adapters → port and driver; only compose.ts → adapters. test/architecture/dependencies.test.ts plants a violation of
 * each rule and sees it found.
 */
const adapters =
  '^src/(mongodb/|(event-store|read-store|messaging)/(memory|mongodb|rabbitmq|smqp)|messaging/(memory|rabbitmq)|event-store/(memory|mongodb)|notifications/.*-channel)';
const drivers = '(^|/)node_modules/(amqplib|mongodb|smqp)/';

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'core-is-pure',
      comment: 'core/ knows types of ports, zod and the table of errors, and nothing that does anything',
      severity: 'error',
      from: { path: '^src/core/' },
      to: { pathNot: ['^src/core/', '^src/errors\\.ts$', '(^|/)node_modules/zod/'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'core-knows-only-port-types',
      severity: 'error',
      from: { path: '^src/core/' },
      to: {
        pathNot: [
          '^src/core/',
          '^src/errors\\.ts$',
          '(^|/)node_modules/zod/',
          '^src/event-store/event-store\\.ts$',
          '^src/read-store/read-store\\.ts$',
          '^src/messaging/message-bus\\.ts$',
        ],
      },
    },
    {
      name: 'domains-know-only-core',
      severity: 'error',
      from: { path: '^src/domains/' },
      to: { pathNot: ['^src/(core|domains)/', '(^|/)node_modules/zod/'] },
    },
    {
      name: 'operations-know-core-and-ports',
      comment: 'What an operator can do is said once; command line and HTTP are faces of it',
      severity: 'error',
      from: { path: '^src/operations/' },
      to: {
        path: '^src/',
        pathNot: [
          '^src/(core|operations|proof)/',
          '^src/errors\\.ts$',
          '^src/event-store/(event-store|store-look)\\.ts$',
          '^src/read-store/read-store\\.ts$',
          '^src/messaging/(message-bus|broker-admin|broker-look|topology|republish|parked-message)\\.ts$',
        ],
      },
    },
    {
      name: 'proof-knows-core-and-ports',
      comment:
        'The suite looks at a store from outside, or it would trust what it examines; workers are what is killed',
      severity: 'error',
      from: { path: '^src/proof/' },
      to: {
        path: '^src/',
        pathNot: [
          '^src/(core|proof|workers)/',
          '^src/(errors|logger)\\.ts$',
          '^src/event-store/(event-store|follower)\\.ts$',
          '^src/messaging/message-bus\\.ts$',
        ],
      },
    },
    {
      name: 'only-compose-imports-adapters',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/compose\\.ts$', adapters] },
      to: { path: [adapters, drivers] },
    },
    {
      name: 'adapters-do-not-know-workers',
      severity: 'error',
      from: { path: adapters },
      to: { path: '^src/(workers|http|cli|operations|domains|compose|roles|lifecycle|main)' },
    },
    {
      name: 'only-the-entry-knows-the-faces',
      severity: 'error',
      from: { path: '^src/(core|domains|workers|event-store|read-store|messaging|mongodb|notifications)/' },
      to: { path: '^src/(http|cli|compose|roles|lifecycle|main)' },
    },
    {
      name: 'source-does-not-know-tests',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|scripts)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
