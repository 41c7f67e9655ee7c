import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, type Config } from '../../src/config.js';
import { hasCode } from '../../src/errors.js';

const defaults = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', '..', 'config', 'default.json'), 'utf8'),
) as Record<string, Record<string, unknown>>;

const urls = { RABBITMQ_URL: 'amqp://localhost', MONGODB_URL: 'mongodb://localhost' };

describe('configuration', () => {
  let directory = '';
  const file = (name: string, content: unknown): void => {
    writeFileSync(join(directory, name), typeof content === 'string' ? content : JSON.stringify(content));
  };
  /** Of the shipped defaults, in a directory of its own, whatever lies in config/ beside them. */
  const load = (environment: NodeJS.ProcessEnv = {}): Config =>
    loadConfig({ NODE_CONFIG_DIR: directory, NODE_ENV: 'none', ...environment });
  const problemsOf = (environment: NodeJS.ProcessEnv): readonly string[] => {
    try {
      load(environment);
    } catch (error) {
      if (!hasCode(error, 'CONFIG')) throw error;
      return error.message
        .split('\n')
        .slice(1)
        .map((line) => line.trim());
    }
    return [];
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'warren-config-'));
    file('default.json', defaults);
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it('is embedded and complete with nothing set', () => {
    expect(load()).to.deep.equal({ ...defaults, rabbitmq: {}, mode: { kind: 'embedded' }, httpPortGiven: false });
  });

  it('can be set from the environment, each key by its own name', () => {
    const places: readonly [name: string, text: string, value: unknown, section: string, key: string][] = [
      ['HTTP_PORT', '0', 0, 'http', 'port'],
      ['HTTP_HOST', '::', '::', 'http', 'host'],
      ['LOG_LEVEL', 'silent', 'silent', 'log', 'level'],
      ['WARREN_COMMANDS_MAX_MESSAGE_BYTES', '4096', 4096, 'commands', 'maxMessageBytes'],
      ['WARREN_COMMANDS_PREFETCH', '7', 7, 'commands', 'prefetch'],
      ['WARREN_COMMANDS_BATCH_SIZE', '7', 7, 'commands', 'batchSize'],
      ['WARREN_COMMANDS_CACHED_AGGREGATES', '7', 7, 'commands', 'cachedAggregates'],
      ['WARREN_PROJECTIONS_PREFETCH', '7', 7, 'projections', 'prefetch'],
      ['WARREN_PROJECTIONS_BATCH_SIZE', '7', 7, 'projections', 'batchSize'],
      ['WARREN_PROJECTIONS_COMPARE_EVERY_MS', '7', 7, 'projections', 'compareEveryMs'],
      ['WARREN_NOTIFICATIONS_PREFETCH', '7', 7, 'notifications', 'prefetch'],
      ['WARREN_NOTIFICATIONS_BATCH_SIZE', '7', 7, 'notifications', 'batchSize'],
      ['WARREN_NOTIFICATIONS_LEASE_MS', '7', 7, 'notifications', 'leaseMs'],
      ['WARREN_RELAY_EVERY_MS', '7', 7, 'relay', 'everyMs'],
      ['WARREN_RELAY_OLDER_THAN_MS', '7', 7, 'relay', 'olderThanMs'],
      ['WARREN_MESSAGING_RETRY_DELAYS_MS', '10, 20', [10, 20], 'messaging', 'retryDelaysMs'],
      ['WARREN_MESSAGING_RETRY_JITTER_PERCENT', '7', 7, 'messaging', 'retryJitterPercent'],
      ['WARREN_MESSAGING_DELIVERY_LIMIT', '7', 7, 'messaging', 'deliveryLimit'],
      ['WARREN_MESSAGING_PUBLISH_TIMEOUT_MS', '7', 7, 'messaging', 'publishTimeoutMs'],
      ['WARREN_MESSAGING_HEARTBEAT_SECONDS', '7', 7, 'messaging', 'heartbeatSeconds'],
      ['WARREN_MESSAGING_PROBE_EVERY_MS', '7', 7, 'messaging', 'probeEveryMs'],
      ['WARREN_MESSAGING_MAX_UNCONFIRMED', '7', 7, 'messaging', 'maxUnconfirmed'],
      ['WARREN_MESSAGING_MAX_QUEUED', '7', 7, 'messaging', 'maxQueued'],
      ['WARREN_HEALTH_STALL_MS', '7', 7, 'health', 'stallMs'],
      ['WARREN_HEALTH_HANDLER_STUCK_MS', '7', 7, 'health', 'handlerStuckMs'],
      ['WARREN_SHUTDOWN_DRAIN_MS', '7', 7, 'shutdown', 'drainMs'],
    ];
    for (const [name, text, value, section, key] of places) {
      const config = load({ [name]: text }) as unknown as Record<string, Record<string, unknown>>;
      expect(config[section]?.[key], name).to.deep.equal(value);
    }
    const keys = Object.entries(defaults).flatMap(([section, inner]) =>
      Object.keys(inner).map((key) => `${section}.${key}`),
    );
    expect(places.map(([, , , section, key]) => `${section}.${key}`)).to.have.members(keys);
  });

  it('takes what the connection to the broker needs beside its URL', () => {
    const given = {
      WARREN_RABBITMQ_MANAGEMENT_URL: 'http://guest:guest@h1:15672',
      WARREN_RABBITMQ_CA_FILE: 'ca.pem',
      WARREN_RABBITMQ_CERT_FILE: 'cert.pem',
      WARREN_RABBITMQ_KEY_FILE: 'key.pem',
      WARREN_RABBITMQ_PASSPHRASE: 'secret',
      WARREN_RABBITMQ_SERVER_NAME: 'broker.example.org',
    };
    const [managementUrl, caFile, certFile, keyFile, passphrase, serverName] = Object.values(given);
    expect(load({ ...urls, ...given }).rabbitmq).to.deep.equal({
      managementUrl,
      caFile,
      certFile,
      keyFile,
      passphrase,
      serverName,
    });
    expect(problemsOf({ ...urls, WARREN_RABBITMQ_MANAGEMENT_URL: 'h1:15672' })[0]).to.match(
      /^rabbitmq.managementUrl \(WARREN_RABBITMQ_MANAGEMENT_URL\): must be http/,
    );
  });

  it('knows that a port was given', () => {
    expect(load({ HTTP_PORT: '8080' }).httpPortGiven).to.equal(true);
    expect(load({ HTTP_PORT: '' }).httpPortGiven).to.equal(false);
  });

  it('takes an empty variable for one that is not set', () => {
    const names = ['HTTP_PORT', 'HTTP_HOST', 'LOG_LEVEL', 'RABBITMQ_URL', 'MONGODB_URL', 'WARREN_RELAY_EVERY_MS'];
    expect(load(Object.fromEntries(names.map((name) => [name, ''])))).to.deep.equal(load());
  });

  it('is real with both URLs, several hosts each', () => {
    const rabbitmqUrl = 'amqps://u:p@h1:5671,h2:5671/vhost?heartbeat=5';
    const mongodbUrl = 'mongodb+srv://u:p@h1,h2/warren?replicaSet=rs0';
    const { mode } = load({ RABBITMQ_URL: rabbitmqUrl, MONGODB_URL: mongodbUrl });
    expect(mode).to.deep.equal({ kind: 'real', rabbitmqUrl, mongodbUrl });
  });

  it('refuses one URL without the other, naming the one that is missing', () => {
    expect(problemsOf({ RABBITMQ_URL: urls.RABBITMQ_URL })).to.satisfy(
      ([only, ...more]: string[]) => only?.startsWith('MONGODB_URL: not set') && more.length === 0,
    );
    expect(problemsOf({ ...urls, RABBITMQ_URL: '' })[0]).to.match(/^RABBITMQ_URL: not set/);
    expect(problemsOf(urls)).to.deep.equal([]);
  });

  it('refuses URLs of another kind', () => {
    for (const url of ['localhost', 'http://h', 'amqp://', 'amqp://a b', 'mongodb://h']) {
      expect(problemsOf({ ...urls, RABBITMQ_URL: url })[0], url).to.match(
        /^rabbitmq.url \(RABBITMQ_URL\): must be amqp/,
      );
    }
    for (const url of ['localhost', 'mongo://h', 'mongodb://', 'amqp://h']) {
      expect(problemsOf({ ...urls, MONGODB_URL: url })[0], url).to.match(
        /^mongodb.url \(MONGODB_URL\): must be mongodb/,
      );
    }
  });

  it('names every bad key at once, with the variable that sets it', () => {
    file('local.json', { relay: { everyMs: -1, tpyo: 1 }, extra: {} });
    const problems = problemsOf({
      HTTP_PORT: '65536',
      LOG_LEVEL: 'loud',
      WARREN_COMMANDS_PREFETCH: '1.5',
      WARREN_NO_SUCH: '1',
      WARREN_MESSAGING_RETRY_DELAYS_MS: '1000,x',
      MONGODB_URL: 'mongodb://h',
    });
    for (const start of [
      'WARREN_NO_SUCH: no such setting',
      'http.port (HTTP_PORT): ',
      'log.level (LOG_LEVEL): ',
      'commands.prefetch (WARREN_COMMANDS_PREFETCH): ',
      'relay.everyMs (WARREN_RELAY_EVERY_MS): ',
      'relay: Unrecognized key: "tpyo"',
      'messaging.retryDelaysMs.1 (WARREN_MESSAGING_RETRY_DELAYS_MS): ',
      'configuration: Unrecognized key: "extra"',
      'RABBITMQ_URL: not set',
    ]) {
      expect(
        problems.some((problem) => problem.startsWith(start)),
        `${start} in ${problems.join('\n')}`,
      ).to.equal(true);
    }
    expect(problems).to.have.length(9);
  });

  it('takes whole numbers within their limits, written in digits', () => {
    for (const wrong of ['x', '0', '-1', '1.5', '1e3', '0x10', ' ', '86400001', 'Infinity']) {
      expect(problemsOf({ WARREN_RELAY_EVERY_MS: wrong }), wrong).to.have.length(1);
    }
    for (const wrong of [' ', '-1', '65536', '0x50', 'true'])
      expect(problemsOf({ HTTP_PORT: wrong }), wrong).to.have.length(1);
    for (const wrong of ['', ',', '10,,20', Array(17).fill('1').join(',')]) {
      const problems = problemsOf({ WARREN_MESSAGING_RETRY_DELAYS_MS: wrong });
      expect(problems.length > 0, wrong).to.equal(wrong !== '');
    }
    for (const wrong of [null, true, [], '1x']) {
      file('local.json', { http: { port: wrong } });
      expect(problemsOf({}), String(wrong)).to.have.length(1);
    }
  });

  it('lets the environment win over local.json, that over <NODE_ENV>.json, that over default.json', () => {
    file('staging.json', { relay: { everyMs: 11, olderThanMs: 12 }, http: { host: 'staging' } });
    file('local.json', { relay: { olderThanMs: 22 }, log: { level: 'warn' } });
    const config = load({ NODE_ENV: 'staging', LOG_LEVEL: 'error' });
    expect(config.relay).to.deep.equal({ everyMs: 11, olderThanMs: 22 });
    expect(config.http).to.deep.equal({ ...defaults['http'], host: 'staging' });
    expect(config.log.level).to.equal('error');
  });

  it('reads the shipped files where no directory is given', () => {
    expect(loadConfig({ NODE_ENV: 'none' }).commands.batchSize).to.be.a('number');
  });

  it('refuses a file that is not what it should be', () => {
    file('local.json', '{ "http": ');
    expect(problemsOf({})[0]).to.include('local.json');
    file('local.json', { http: 7 });
    expect(problemsOf({}).join()).to.include('http');
  });

  it('is frozen, all the way down', () => {
    const config = load(urls);
    const isFrozen = (value: unknown): boolean =>
      typeof value !== 'object' || value === null || (Object.isFrozen(value) && Object.values(value).every(isFrozen));
    expect(isFrozen(config)).to.equal(true);
  });
});
