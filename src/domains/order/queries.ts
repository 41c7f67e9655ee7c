import { z } from 'zod';
import type { Query } from '../../core/query.js';
import { shortText } from '../../core/text.js';
import { orderStatuses } from './decider.js';
import { orderStatistics } from './order-statistics.js';
import { orders } from './orders.js';

const order = z.object({
  customerId: z.string(),
  currency: z.string(),
  lines: z.array(z.object({ sku: z.string(), quantity: z.int(), unitPriceCents: z.int() })),
  totalCents: z.int(),
  status: z.enum(orderStatuses),
  paymentId: z.string().optional(),
  carrier: z.string().optional(),
  trackingNumber: z.string().optional(),
  reason: z.string().optional(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});

export const orderQueries: readonly Query[] = [
  {
    name: 'order.get',
    path: '/orders/:id',
    summary: 'One order',
    projection: orders.name,
    document: order,
    kind: 'get',
  },
  {
    name: 'order.list',
    path: '/orders',
    summary: 'Orders by id, all or those of one status, one customer or both',
    projection: orders.name,
    document: order,
    kind: 'list',
    filters: { status: z.enum(orderStatuses), customerId: shortText },
  },
  {
    name: 'order.statistics',
    path: '/orders/statistics',
    summary: 'How many orders are in each status now, and their total; the id is the status',
    projection: orderStatistics.name,
    document: z.object({ count: z.int(), totalCents: z.int() }),
    kind: 'list',
    filters: {},
  },
];
