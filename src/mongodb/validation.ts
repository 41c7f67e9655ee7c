import { MongoServerError, type CollectionInfo, type CreateCollectionOptions, type Db, type Document } from 'mongodb';
import { isDeepStrictEqual } from 'node:util';
import { WarrenError } from '../errors.js';

/** What the documents of a collection must look like. */
export type DocumentSchema = {
  /** Raised with every change of `rules`. What the code of the revision before writes must pass too: both run at a time. */
  readonly revision: number;
  /** A `$jsonSchema` without `title`, which tells ours from others and holds the revision. */
  readonly rules: Document;
};

type FoundOptions = {
  readonly validator?: Document;
  readonly validationLevel?: string;
  readonly validationAction?: string;
};

const unauthorized = 13;
/** Another collMod or an index build holds the collection. */
const busyCodes: ReadonlySet<unknown> = new Set([117, 12586]);

const full = { validationLevel: 'strict', validationAction: 'error' } as const;

export const validationOf = (name: string, { revision, rules }: DocumentSchema) =>
  ({
    validator: { $jsonSchema: { title: `Warren ${name}, revision ${revision}`, ...rules } },
    ...full,
  }) satisfies CreateCollectionOptions;

/** The revision of a validator of ours; null: it is somebody else's. */
const revisionOf = (validator: Document, name: string): number | null => {
  const { title } = (validator['$jsonSchema'] ?? {}) as { readonly title?: unknown };
  const [, collection, revision] = /^Warren (.+), revision (\d+)$/.exec(String(title)) ?? [];
  return collection === name ? Number(revision) : null;
};

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const inShort = (value: unknown): string => (value === undefined ? 'missing' : JSON.stringify(value).slice(0, 200));

const firstDifference = (found: unknown, wanted: unknown, path = ''): string | null => {
  if (isDeepStrictEqual(found, wanted)) return null;
  if (!isRecord(found) || !isRecord(wanted)) return `${path.slice(1)} is ${inShort(found)}, not ${inShort(wanted)}`;
  const keys = [...new Set([...Object.keys(wanted), ...Object.keys(found)])];
  return keys.map((key) => firstDifference(found[key], wanted[key], `${path}.${key}`)).find(Boolean) ?? null;
};

const shellCommand = (db: Db, command: Document): string =>
  `db.getSiblingDB(${JSON.stringify(db.databaseName)}).runCommand(${JSON.stringify(command)})`;

const isBusy = (error: unknown): boolean => error instanceof MongoServerError && busyCodes.has(error.code);

const refusal = (db: Db, name: string, what: string, remedy: Document): string => {
  const how = `run in mongosh: ${shellCommand(db, { collMod: name, ...remedy })} and start again`;
  return `Collection ${db.databaseName}.${name} ${what}; ${how}`;
};

/** `ours`: there is nothing to do; `settable`: none, or ours of an older revision. */
type Examined = { readonly is: 'ours' | 'settable' } | { readonly is: 'foreign'; readonly problem: string };

/** Looks at the validation of a collection that is there; changes nothing. */
export const examineValidation = (db: Db, { name, options = {} }: CollectionInfo, schema: DocumentSchema): Examined => {
  const foreign = (what: string, remedy: Document): Examined => ({
    is: 'foreign',
    problem: refusal(db, name, what, remedy),
  });
  const { validator = {}, validationLevel = 'strict', validationAction = 'error' } = options as FoundOptions;
  if (Object.keys(validator).length === 0) return { is: 'settable' };
  const weakness = firstDifference({ validationLevel, validationAction }, full);
  if (weakness !== null) return foreign(`does not refuse every wrong document, since ${weakness}`, full);
  const revision = revisionOf(validator, name);
  // Without a validator the next start sets ours.
  if (revision === null)
    return foreign(`has a validator that is not Warren's, ${inShort(validator)}`, { validator: {} });
  const difference = firstDifference(validator, validationOf(name, schema).validator);
  if (revision === schema.revision && difference !== null)
    return foreign(`has a changed validator: ${difference}`, { validator: {} });
  return { is: revision >= schema.revision ? 'ours' : 'settable' };
};

/**
 * Gives a collection that is there our validation: sets a missing one, raises an older revision, leaves a newer one
 * alone, so that code can be rolled back. Existing documents are not looked at.
 * @throws WarrenError STORE_UNUSABLE: it has another validation, or we may not set ours
 */
export const ensureValidation = async (db: Db, found: CollectionInfo, schema: DocumentSchema): Promise<void> => {
  const examined = examineValidation(db, found, schema);
  if (examined.is === 'foreign') throw new WarrenError('STORE_UNUSABLE', examined.problem);
  if (examined.is === 'ours') return;
  const { name } = found;
  const wanted = validationOf(name, schema);
  try {
    await db.command({ collMod: name, ...wanted, writeConcern: { w: 'majority' } });
  } catch (error) {
    if (isBusy(error))
      throw new WarrenError('STORE_UNAVAILABLE', `Collection ${name} is busy; try again`, { cause: error });
    if (!(error instanceof MongoServerError && error.code === unauthorized)) throw error;
    const what = "lacks Warren's validator, and this user may not set it (role dbAdmin may)";
    throw new WarrenError('STORE_UNUSABLE', refusal(db, name, what, wanted), { cause: error });
  }
};

type Privilege = {
  readonly resource: { readonly db?: string; readonly collection?: string; readonly anyResource?: boolean };
  readonly actions: readonly string[];
};

/** May this user write documents that the server does not validate? True without users; `readWrite` alone gives no right to. */
export const mayBypassValidation = async (db: Db): Promise<boolean> => {
  const { authInfo } = (await db.command({ connectionStatus: 1, showPrivileges: true })) as {
    readonly authInfo: {
      readonly authenticatedUsers: readonly unknown[];
      readonly authenticatedUserPrivileges: readonly Privilege[];
    };
  };
  if (authInfo.authenticatedUsers.length === 0) return true;
  return authInfo.authenticatedUserPrivileges.some(
    ({ resource, actions }) =>
      actions.includes('bypassDocumentValidation') &&
      (resource.anyResource === true ||
        ((resource.db === '' || resource.db === db.databaseName) && resource.collection === '')),
  );
};
