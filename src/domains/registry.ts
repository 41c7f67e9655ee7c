import type { Domain } from '../core/domain.js';
import { orderDomain } from './order/domain.js';
import { userDomain } from './user/domain.js';

/** Every domain there is. A new one is listed here and nowhere else. */
export const domains: readonly Domain[] = [userDomain, orderDomain];
