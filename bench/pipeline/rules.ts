/**
 * Users and orders as somebody writes them who writes them once: shared by the floor and the naive loop, and nothing
 * here comes from Warren, so that a slow Warren cannot slow the floor down with it.
 */

type Line = { readonly sku: string; readonly quantity: number; readonly unitPriceCents: number };

export type Payload = Readonly<
  Partial<{
    email: string;
    name: string;
    customerId: string;
    currency: string;
    lines: readonly Line[];
    totalCents: number;
    paymentId: string;
    amountCents: number;
    carrier: string;
    trackingNumber: string;
    reason: string;
  }>
>;

export type Command = {
  readonly id: string;
  readonly type: string;
  readonly aggregateId: string;
  readonly payload: Payload;
  readonly expectedVersion?: number;
  readonly metadata?: { readonly correlationId?: string; readonly causationId?: string; readonly actor?: string };
};

/** A document of collection `events`. */
export type EventDocument = {
  readonly _id: number;
  readonly eventId: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  readonly type: string;
  readonly schemaVersion: number;
  readonly payload: Payload;
  readonly metadata: { readonly commandId: string; readonly correlationId: string; readonly causationId: string };
  readonly timestamp: Date;
  readonly commandIndex: number;
  readonly commandDigest: string;
};

/** What a decision needs to know of an aggregate. */
export type State = { readonly version: number; readonly status: string; readonly totalCents: number };

export const emptyState: State = { version: 0, status: 'none', totalCents: 0 };

type Rule = {
  readonly aggregateType: 'user' | 'order';
  readonly event: string;
  readonly from: readonly string[];
  readonly to: string;
  readonly strings: readonly (keyof Payload)[];
};

export const rules: Readonly<Record<string, Rule>> = {
  'user.create': {
    aggregateType: 'user',
    event: 'user.created',
    from: ['none'],
    to: 'active',
    strings: ['email', 'name'],
  },
  'user.update': { aggregateType: 'user', event: 'user.updated', from: ['active'], to: 'active', strings: ['name'] },
  'user.deactivate': {
    aggregateType: 'user',
    event: 'user.deactivated',
    from: ['active'],
    to: 'inactive',
    strings: [],
  },
  'order.create': {
    aggregateType: 'order',
    event: 'order.created',
    from: ['none'],
    to: 'created',
    strings: ['customerId', 'currency'],
  },
  'order.pay': {
    aggregateType: 'order',
    event: 'order.paid',
    from: ['created'],
    to: 'paid',
    strings: ['paymentId'],
  },
  'order.ship': {
    aggregateType: 'order',
    event: 'order.shipped',
    from: ['paid'],
    to: 'shipped',
    strings: ['carrier', 'trackingNumber'],
  },
  'order.deliver': {
    aggregateType: 'order',
    event: 'order.delivered',
    from: ['shipped'],
    to: 'delivered',
    strings: [],
  },
  'order.cancel': {
    aggregateType: 'order',
    event: 'order.cancelled',
    from: ['created', 'paid'],
    to: 'cancelled',
    strings: ['reason'],
  },
};

const statusAfter = new Map(Object.values(rules).map((rule) => [rule.event, rule.to]));

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '' && value.length <= 200;

/** The command, or null where it is none; the checks that a person writes by hand. */
export const parseCommand = (body: Buffer): Command | null => {
  let command: Command | null;
  try {
    command = JSON.parse(body.toString()) as Command | null;
  } catch {
    return null;
  }
  if (typeof command !== 'object' || command === null || !isText(command.id) || !isText(command.aggregateId))
    return null;
  const rule = Object.hasOwn(rules, command.type) ? rules[command.type] : undefined;
  const payload = command.payload as Payload | null | undefined;
  if (!rule || typeof payload !== 'object' || payload === null) return null;
  if (!rule.strings.every((key) => isText(payload[key]))) return null;
  if (command.type === 'order.pay' && !Number.isSafeInteger(payload.amountCents)) return null;
  if (command.type !== 'order.create') return command;
  const { lines } = payload;
  const linesAreRight =
    Array.isArray(lines) &&
    lines.length > 0 &&
    (lines as readonly Line[]).every(
      (line) => isText(line.sku) && Number.isSafeInteger(line.quantity) && Number.isSafeInteger(line.unitPriceCents),
    );
  return linesAreRight ? command : null;
};

/** The event of a command, or the code of the rule that says no. */
export const decide = (command: Command, state: State): { type: string; payload: Payload } | string => {
  const rule = rules[command.type];
  if (!rule) return 'UNKNOWN_COMMAND';
  if (!rule.from.includes(state.status)) return 'WRONG_STATUS';
  if (command.type === 'order.pay' && command.payload.amountCents !== state.totalCents) return 'WRONG_AMOUNT';
  if (command.type !== 'order.create') return { type: rule.event, payload: command.payload };
  const totalCents = (command.payload.lines ?? []).reduce((sum, line) => sum + line.quantity * line.unitPriceCents, 0);
  return { type: rule.event, payload: { ...command.payload, totalCents } };
};

export const evolve = (state: State, event: Pick<EventDocument, 'type' | 'version' | 'payload'>): State => ({
  version: event.version,
  status: statusAfter.get(event.type) ?? state.status,
  totalCents: event.payload.totalCents ?? state.totalCents,
});

/** A document of `users` or `orders`. */
export type ReadModel = { readonly _id: string; readonly version: number } & Readonly<Record<string, unknown>>;

/** The read model after an event; the times are those of the first and the last event. */
export const project = (
  document: ReadModel | undefined,
  event: { type: string; aggregateId: string; version: number; payload: Payload; timestamp: Date },
): ReadModel => ({
  createdAt: event.timestamp,
  ...document,
  ...event.payload,
  _id: event.aggregateId,
  version: event.version,
  status: statusAfter.get(event.type),
  updatedAt: event.timestamp,
});
