import { describeDatabaseOutage } from '../test/helpers/database-outage.js';

// About a minute at 200 commands a second.
describeDatabaseOutage(12_000, 240_000);
