import type { NewEvent, RecordedEvent } from './message.js';

/** What an event looks like: its type, and the number of its payload's shape. */
export type Shape = { readonly type: string; readonly schemaVersion: number };

/**
 * Turns events of one old shape into newer ones; pure. What it gives may be old itself: the next upcaster takes it from
 * there, until all of it is current. So an upcaster is written once and need not change when shapes change again.
 */
export type Upcaster = Shape & {
  /** What it may give. Unless said otherwise: the same type at the next schema version. */
  readonly into?: readonly Shape[];
  /** None: the fact means nothing any more. Several: it was more than one fact. */
  upcast(event: RecordedEvent): readonly (NewEvent & Shape)[];
};

/** What a domain says of the shapes of its events: those of now, and the ways that lead to them. */
export type Shapes = {
  readonly aggregateType: string;
  readonly events: Readonly<Record<string, { readonly schemaVersion: number }>>;
  readonly upcasters?: readonly Upcaster[];
};

const none: readonly Upcaster[] = [];
export const upcastersOf = (domain: Shapes): readonly Upcaster[] => domain.upcasters ?? none;

/** `user.named@1` */
export const shapeText = ({ type, schemaVersion }: Shape): string => `${type}@${schemaVersion}`;

export const sameShape = (a: Shape, b: Shape): boolean => a.type === b.type && a.schemaVersion === b.schemaVersion;

export const isCurrent = (domain: Shapes, { type, schemaVersion }: Shape): boolean =>
  domain.events[type]?.schemaVersion === schemaVersion;

export const upcasterOf = (domain: Shapes, shape: Shape): Upcaster | undefined =>
  upcastersOf(domain).find((upcaster) => sameShape(upcaster, shape));

export const targetsOf = ({ type, schemaVersion, into }: Upcaster): readonly Shape[] =>
  into ?? [{ type, schemaVersion: schemaVersion + 1 }];

/** Every event type that the store may hold of this domain: the current ones, and those that become current ones. */
export const storedTypesOf = (domain: Shapes): readonly string[] => [
  ...new Set([...Object.keys(domain.events), ...upcastersOf(domain).map(({ type }) => type)]),
];

/** The event types that the store may hold of which something may become one of the current `types`. */
export const storedTypesBecoming = (domain: Shapes, types: readonly string[]): readonly string[] => {
  const leadsThere = (shape: Shape): boolean => {
    if (isCurrent(domain, shape)) return types.includes(shape.type);
    const upcaster = upcasterOf(domain, shape);
    return upcaster !== undefined && targetsOf(upcaster).some(leadsThere);
  };
  const current = Object.keys(domain.events).filter((type) => types.includes(type));
  const old = upcastersOf(domain).filter((upcaster) => leadsThere(upcaster));
  return [...new Set([...current, ...old.map(({ type }) => type)])];
};

/** `user.named@1 → (user.called@1 → user.called@2) + user.moved@1`; null: it leads to no current shape. */
export const pathText = (domain: Shapes, shape: Shape): string | null => {
  if (isCurrent(domain, shape)) return shapeText(shape);
  const upcaster = upcasterOf(domain, shape);
  if (!upcaster) return null;
  const targets = targetsOf(upcaster).map((target) => pathText(domain, target) ?? shapeText(target));
  const [only] = targets;
  const ends = targets.map((target) => (target.includes(' → ') ? `(${target})` : target)).join(' + ');
  return `${shapeText(shape)} → ${targets.length > 1 ? ends : (only ?? 'nothing')}`;
};

/** Checked once, at start, so that nobody who follows a path need look where it goes. @throws Error what is wrong */
export const checkUpcasters = (domain: Shapes): void => {
  const all = upcastersOf(domain);
  const walk = (shape: Shape, path: readonly string[]): void => {
    const here = [...path, shapeText(shape)];
    if (path.includes(shapeText(shape))) {
      throw new Error(`Upcasters of ${domain.aggregateType} go in a circle: ${here.join(' → ')}; end it`);
    }
    if (isCurrent(domain, shape)) return;
    const upcaster = upcasterOf(domain, shape);
    if (!upcaster) {
      throw new Error(
        `Upcasters of ${domain.aggregateType} end nowhere: ${here.join(' → ')}; add an upcaster or a current event of that shape`,
      );
    }
    for (const target of targetsOf(upcaster)) walk(target, here);
  };
  all.forEach((upcaster, at) => {
    const source = shapeText(upcaster);
    if (all.findIndex((other) => sameShape(other, upcaster)) !== at) {
      throw new Error(`${domain.aggregateType} has two upcasters of ${source}; remove one`);
    }
    if (isCurrent(domain, upcaster)) {
      throw new Error(
        `${domain.aggregateType} has an upcaster of ${source}, which is current; raise its schemaVersion`,
      );
    }
    walk(upcaster, []);
  });
};
