import {
  MongoError,
  MongoNetworkError,
  MongoServerError,
  MongoServerSelectionError,
  MongoTopologyClosedError,
} from 'mongodb';
import { asError, hasCode, WarrenError } from '../errors.js';

/**
 * What went wrong at MongoDB, told apart here and nowhere else.
 *
 * - `duplicateKey`: a unique index refused (11000); which one is for the caller to find out by reading.
 * - `writeConflict`: another transaction holds or has just changed the document (112).
 * - `unknownCommit`: the commit was sent and nobody knows whether it took effect; only reading back tells.
 * - `transient`: the transaction is gone (killed, stepped down, lock timeout); nothing of it is stored, try again.
 * - `unavailable`: no answer, no primary, or a time limit of the server; what was sent outside a transaction may be stored.
 * - `unusable`: the server answers, and will never do this (credentials, rights, no replica set).
 * - `other`: everything else; trying again gives the same.
 */
export type MongodbFailure =
  'duplicateKey' | 'writeConflict' | 'unknownCommit' | 'transient' | 'unavailable' | 'unusable' | 'other';

const unusableCodes: ReadonlySet<unknown> = new Set([
  13, // Unauthorized
  18, // AuthenticationFailed
  20, // IllegalOperation: transaction numbers without a replica set
  8000, // Atlas: wrong credentials
]);

const unavailableCodes: ReadonlySet<unknown> = new Set([
  6, // HostUnreachable
  7, // HostNotFound
  50, // MaxTimeMSExpired
  64, // WriteConcernFailed: no majority in time
  89, // NetworkTimeout
  91, // ShutdownInProgress
  133, // FailedToSatisfyReadPreference
  134, // ReadConcernMajorityNotAvailableYet
  189, // PrimarySteppedDown
  262, // ExceededTimeLimit
  9001, // SocketException
  10107, // NotWritablePrimary
  11600, // InterruptedAtShutdown
  11602, // InterruptedDueToReplStateChange
  13435, // NotPrimaryNoSecondaryOk
  13436, // NotPrimaryOrSecondary
  14031, // OutOfDiskSpace
]);

const killedCodes: ReadonlySet<unknown> = new Set([
  43, // CursorNotFound: idle for too long, or of a server that was restarted
  175, // QueryPlanKilled
  237, // CursorKilled
  251, // NoSuchTransaction: killed or timed out
  11601, // Interrupted
]);

/** Names of driver errors of a pool or client that is going away; their classes are not exported. */
const poolErrors: ReadonlySet<string> = new Set([
  'MongoPoolClosedError',
  'MongoPoolClearedError',
  'PoolClearedOnNetworkError',
  'MongoWaitQueueTimeoutError',
  'MongoServerClosedError',
  'MongoNotConnectedError',
  'MongoClientClosedError',
  'MongoExpiredSessionError',
  'MongoOperationTimeoutError',
]);

/** The driver lets some failed writes to a socket through as Node gave them. */
const isSocketError = (error: unknown): boolean =>
  error instanceof Error &&
  !(error instanceof MongoError) &&
  typeof (error as NodeJS.ErrnoException).syscall === 'string';

/** And its commit stumbles over such an error, which has none of the labels that it asks it for. */
const isStumbledCommit = (error: unknown): boolean =>
  error instanceof TypeError && error.message.includes('hasErrorLabel is not a function');

/** A reader that came before any worker, which makes the indexes. The code, BadValue, is that of many other things. */
const isWithoutIndex = (error: MongoError): boolean => error.code === 2 && error.message.includes('hint provided');

export const failureOf = (error: unknown): MongodbFailure => {
  // Translated already.
  if (hasCode(error, 'STORE_UNAVAILABLE')) return 'unavailable';
  if (hasCode(error, 'STORE_UNUSABLE')) return 'unusable';
  // A bulk write puts its own class around whatever stopped it, a lost connection too.
  if (error instanceof MongoServerError && error.errorResponse instanceof Error) return failureOf(error.errorResponse);
  if (isSocketError(error)) return 'unavailable';
  if (isStumbledCommit(error)) return 'unknownCommit';
  if (!(error instanceof MongoError)) return 'other';
  // First: the driver sets it on errors of every kind, and it is the only one where guessing would lose or double events.
  if (error.hasErrorLabel('UnknownTransactionCommitResult')) return 'unknownCommit';
  if (error.code === 11000) return 'duplicateKey';
  if (error.code === 112) return 'writeConflict';
  if (unusableCodes.has(error.code) || isWithoutIndex(error)) return 'unusable';
  if (
    error instanceof MongoNetworkError ||
    error instanceof MongoServerSelectionError ||
    error instanceof MongoTopologyClosedError ||
    unavailableCodes.has(error.code) ||
    poolErrors.has(error.name)
  ) {
    return 'unavailable';
  }
  if (error.hasErrorLabel('TransientTransactionError') || killedCodes.has(error.code)) return 'transient';
  return 'other';
};

/**
 * The error to throw to who called a store: STORE_UNAVAILABLE where trying again may help, STORE_UNUSABLE where it
 * cannot; a WarrenError and what is no failure of MongoDB come back as they are.
 * @param what was tried, for the message: `read events`
 */
export const toStoreError = (error: unknown, what: string): Error => {
  if (error instanceof WarrenError) return error;
  switch (failureOf(error)) {
    case 'duplicateKey':
    case 'writeConflict':
    case 'unknownCommit':
    case 'transient':
    case 'unavailable':
      return new WarrenError('STORE_UNAVAILABLE', `MongoDB could not ${what}: ${asError(error).message}`, {
        cause: error,
      });
    case 'unusable':
      return new WarrenError('STORE_UNUSABLE', `MongoDB refused to ${what}: ${asError(error).message}`, {
        cause: error,
      });
    case 'other':
      return asError(error);
  }
};

/** Runs an operation on the database; what it throws is what `toStoreError` makes of it. */
export const translated = async <T>(what: string, operation: () => Promise<T>): Promise<T> => {
  try {
    return await operation();
  } catch (error) {
    throw toStoreError(error, what);
  }
};
