import { describeReplayKill } from '../test/helpers/replay-kill.js';

describeReplayKill(10_000, 180_000);
