import { describeDatabaseOutage } from '../helpers/database-outage.js';

// Some seconds; `soak/database-gone.test.ts` has the minute.
describeDatabaseOutage(600, 60_000);
