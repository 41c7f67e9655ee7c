import { asError } from '../errors.js';
import type { StoreLook } from '../event-store/store-look.js';
import type { BrokerAdmin } from '../messaging/broker-admin.js';
import type { BrokerLook, ClusterLook } from '../messaging/broker-look.js';
import type { Topology } from '../messaging/message-bus.js';

/**
 * One line of the report. `warn`: works, and a person should know; `skipped`: could not be looked at. Whatever is not
 * `ok` has a remedy.
 */
export type Check = {
  readonly name: string;
  readonly state: 'ok' | 'warn' | 'fail' | 'skipped';
  readonly found: string;
  readonly remedy: string | null;
};

export type Diagnosis = {
  readonly checks: readonly Check[];
  readonly brokerAnswers: boolean;
  readonly storeAnswers: boolean;
};

export type DoctorDeps = {
  readonly broker: BrokerLook;
  /** @throws WarrenError BROKER_UNAVAILABLE */
  readonly openAdmin: () => Promise<Pick<BrokerAdmin, 'compare' | 'view' | 'countOf' | 'close'>>;
  readonly store: Omit<StoreLook, 'close'>;
  readonly topology: Topology;
  readonly parkedQueues: readonly string[];
};

/** Events carry the time of the worker that made them. */
const clockLimitMs = 1_000;
/** The broker tells its time in whole seconds. */
const brokerClockLimitMs = 2_000;

const ok = (name: string, found: string): Check => ({ name, state: 'ok', found, remedy: null });
const bad =
  (state: 'warn' | 'fail' | 'skipped') =>
  (name: string, found: string, remedy: string): Check => ({ name, state, found, remedy });
const warn = bad('warn');
const fail = bad('fail');
const skipped = bad('skipped');

/** A look that throws is one more line, never the end of the others. */
const looking = async (
  name: string,
  remedy: string,
  look: () => Promise<readonly Check[]>,
): Promise<readonly Check[]> => {
  try {
    return await look();
  } catch (error) {
    return [fail(name, asError(error).message, remedy)];
  }
};

const supported = /^(3\.1[0-3]|4\.\d+)(\.|$)/;

const clockCheck = (name: string, whose: string, aheadMs: number, limitMs: number): Check => {
  const seconds = `${Math.abs(aheadMs / 1000).toFixed(1)} s`;
  if (Math.abs(aheadMs) <= limitMs) return ok(name, `${seconds} from that of ${whose}`);
  const found = `this host is ${seconds} ${aheadMs > 0 ? 'behind' : 'ahead of'} ${whose} (limit ${limitMs / 1000} s)`;
  return fail(name, found, 'run an NTP client on both, and compare again');
};

const hostChecks = async ({ broker }: DoctorDeps): Promise<readonly Check[]> =>
  (await broker.hosts()).map((host) => {
    const name = `broker ${host.name}`;
    if (!host.answers) {
      return fail(name, host.problem, 'check RABBITMQ_URL, that RabbitMQ runs there, and that its port is open');
    }
    const found = `RabbitMQ ${host.version}`;
    if (supported.test(host.version)) return ok(name, found);
    return warn(name, `${found}; made for 3.10 to 4.x`, 'see docs/rabbitmq.md for what differs, or use one of those');
  });

const permissionChecks = (deps: DoctorDeps): Promise<readonly Check[]> =>
  looking('broker permissions', 'try again', async () => {
    const refusals = await deps.broker.refusals();
    if (refusals.length === 0) return [ok('broker permissions', 'may write and bind all that this needs')];
    const remedy = "rabbitmqctl set_permissions -p <vhost> <user> '.*' '.*' '.*', or patterns that take these names";
    return [fail('broker permissions', refusals.join('; '), remedy)];
  });

const alarmRemedy = 'free memory or disk there, or raise vm_memory_high_watermark or lower disk_free_limit';

const alarmCheck = (blocked: boolean, cluster: ClusterLook | null): Check => {
  const alarms = (cluster?.nodes ?? []).flatMap(({ name, memoryAlarm, diskAlarm }) => [
    ...(memoryAlarm ? [`memory alarm on ${name}`] : []),
    ...(diskAlarm ? [`disk alarm on ${name}`] : []),
  ]);
  if (alarms.length > 0) return fail('broker alarms', `${alarms.join(', ')}: it takes no messages`, alarmRemedy);
  if (blocked) return fail('broker alarms', 'it does not confirm a message, as in an alarm', alarmRemedy);
  return ok('broker alarms', 'it takes messages');
};

const nodeChecks = ({ nodes, queues }: ClusterLook, ours: ReadonlySet<string>): readonly Check[] => {
  const down = nodes.filter(({ running }) => !running).map(({ name }) => name);
  const running = nodes.length - down.length;
  const thin = queues.filter(({ name, members }) => ours.has(name) && members < Math.min(3, running));
  const weak = queues.filter(({ name, members, online }) => ours.has(name) && online < members);
  return [
    down.length === 0
      ? ok('broker nodes', `${running} of ${running}`)
      : fail('broker nodes', `${down.join(', ')} of ${nodes.length} not running`, 'start them'),
    ...(thin.length === 0
      ? []
      : [
          warn(
            'queue members',
            `${thin.map(({ name }) => name).join(', ')} on fewer nodes than there are`,
            'rabbitmq-queues grow <node> all',
          ),
        ]),
    ...(weak.length === 0
      ? []
      : [warn('queue members', `${weak.map(({ name }) => name).join(', ')}: members are away`, 'start their nodes')]),
  ];
};

const clusterChecks = (deps: DoctorDeps): Promise<readonly Check[]> =>
  looking('broker alarms', 'try again', async () => {
    const [blocked, found] = await Promise.all([deps.broker.isBlocked(), deps.broker.cluster()]);
    if (typeof found === 'string') {
      const remedy = 'set WARREN_RABBITMQ_MANAGEMENT_URL, with a user of tag monitoring';
      return [alarmCheck(blocked, null), skipped('broker nodes and clock', `no management API: ${found}`, remedy)];
    }
    const ours = new Set(deps.topology.queues.map(({ name }) => name));
    return [
      alarmCheck(blocked, found),
      ...nodeChecks(found, ours),
      clockCheck('broker clock', 'the broker', found.clockAheadMs, brokerClockLimitMs),
    ];
  });

/** The smaller of argument and policy wins, and looking at a parked message counts as a delivery. */
const harmful = ['delivery-limit', 'message-ttl', 'expires', 'max-length', 'max-length-bytes'];

const topologyChecks = (deps: DoctorDeps): Promise<readonly Check[]> =>
  looking('topology', 'warren topology plan', async () => {
    const admin = await deps.openAdmin();
    try {
      const { queues, exchanges } = await admin.compare(deps.topology);
      const all = [...queues, ...exchanges];
      const named = (state: string): string =>
        all
          .filter((each) => each.state === state)
          .map(({ name }) => name)
          .join(', ');
      const moving = queues.filter((queue) => queue.moving).map(({ name }) => name);
      const counts = await Promise.all(
        deps.parkedQueues.map(async (name) => ({ name, messages: (await admin.countOf(name))?.messages ?? 0 })),
      );
      const parked = counts.filter(({ messages }) => messages > 0);
      const sum = parked.reduce((total, { messages }) => total + messages, 0);
      const view = await admin.view();
      const policies = 'unavailable' in view ? [] : view.policies;
      const onParked = policies.filter(
        ({ pattern, definition }) =>
          harmful.some((key) => key in definition) && deps.parkedQueues.some((name) => new RegExp(pattern).test(name)),
      );
      return [
        ...(named('differs') === '' && named('missing') === '' ? [ok('topology', 'as wanted')] : []),
        ...(named('differs') === ''
          ? []
          : [fail('topology', `${named('differs')} differ on the broker`, 'warren topology plan says how')]),
        ...(named('missing') === ''
          ? []
          : [warn('topology', `${named('missing')} missing`, 'start any role, or run warren topology apply')]),
        ...(moving.length === 0
          ? []
          : [warn('topology', `${moving.join(', ')} half migrated`, 'run warren topology apply --migrate again')]),
        ...onParked.map(({ name }) =>
          warn(
            'policies',
            `policy ${name} may take messages out of parked queues`,
            'change its pattern to leave out .*\\.parked',
          ),
        ),
        sum === 0
          ? ok('parked messages', 'none')
          : warn('parked messages', `${sum} in ${parked.map(({ name }) => name).join(', ')}`, 'warren parked list'),
      ];
    } finally {
      await admin.close();
    }
  });

const replicaSetCheck = ({ replicaSet, primary, members }: Awaited<ReturnType<StoreLook['server']>>): Check => {
  const name = 'replica set';
  if (replicaSet === null) {
    return fail(name, 'the server is in none', 'start it with mongod --replSet rs0 and run rs.initiate() in mongosh');
  }
  if (primary === null)
    return fail(name, `${replicaSet} has no primary`, 'start the members that are away: rs.status()');
  const away = members.filter(({ healthy }) => !healthy);
  if (away.length > 0) {
    const list = away.map((member) => `${member.name} (${member.state})`).join(', ');
    return warn(name, `${replicaSet}, primary ${primary}; away: ${list}`, 'start them; see rs.status()');
  }
  const count = members.length > 0 ? `, ${members.length} of ${members.length} members` : '';
  return ok(name, `${replicaSet}, primary ${primary}${count}`);
};

const contentChecks = (deps: DoctorDeps): Promise<readonly Check[]> =>
  looking('indexes and validation', 'give the user of MONGODB_URL the role readWrite', async () => {
    const name = 'indexes and validation';
    const problems = await deps.store.problems();
    if (problems === null) return [warn(name, 'there is no store yet', 'start any role, which makes it')];
    if (problems.length === 0) return [ok(name, 'as wanted')];
    return problems.map((problem) => {
      const [what = problem, ...remedy] = problem.split('; ');
      return fail(name, what, remedy.join('; '));
    });
  });

/**
 * Looks at broker and database and says of each thing that is wrong what to do. Changes nothing, and goes on where a
 * look fails; what depends on one that does not answer is left out.
 */
export const doctor = async (deps: DoctorDeps): Promise<Diagnosis> => {
  const examineBroker = async (): Promise<{ readonly answers: boolean; readonly checks: readonly Check[] }> => {
    const hosts = await hostChecks(deps);
    if (hosts.every(({ state }) => state === 'fail')) return { answers: false, checks: hosts };
    const rest = await Promise.all([permissionChecks(deps), clusterChecks(deps), topologyChecks(deps)]);
    return { answers: true, checks: [...hosts, ...rest.flat()] };
  };
  const examineStore = async (): Promise<{ readonly answers: boolean; readonly checks: readonly Check[] }> => {
    const remedy = 'check MONGODB_URL, that MongoDB runs there, and that its port is open';
    try {
      const server = await deps.store.server();
      const checks = [
        ok('database', `MongoDB ${server.version} at ${server.host}`),
        replicaSetCheck(server),
        ...(await contentChecks(deps)),
        clockCheck('database clock', 'MongoDB', server.clockAheadMs, clockLimitMs),
      ];
      return { answers: true, checks };
    } catch (error) {
      return { answers: false, checks: [fail('database', asError(error).message, remedy)] };
    }
  };
  const [broker, store] = await Promise.all([examineBroker(), examineStore()]);
  return {
    checks: [...broker.checks, ...store.checks],
    brokerAnswers: broker.answers,
    storeAnswers: store.answers,
  };
};
