import { z } from 'zod';
import type { Command, NewEvent } from '../../core/message.js';
import { lineOfText, shortText } from '../../core/text.js';

/** Minor units of the currency, exact up to 2^53 - 1. */
const cents = z.int().min(1);

const line = z.strictObject({ sku: shortText, quantity: z.int().min(1), unitPriceCents: cents });

export const createOrder = z.strictObject({
  customerId: shortText,
  currency: z.string().regex(/^[A-Z]{3}$/, 'must be an ISO 4217 code such as EUR'),
  // An order is one event, one state and one document, so its size has a limit of its own.
  lines: z.array(line).min(1),
});
export const payOrder = z.strictObject({ paymentId: shortText, amountCents: cents });
export const shipOrder = z.strictObject({ carrier: shortText, trackingNumber: shortText });
export const deliverOrder = z.strictObject({});
export const cancelOrder = z.strictObject({ reason: lineOfText(1000) });

/** An event carries the payload of its command; the first adds what was computed from it. */
export const orderCreated = createOrder.extend({ totalCents: cents });
export const orderPaid = payOrder;
export const orderShipped = shipOrder;
export const orderDelivered = deliverOrder;
export const orderCancelled = cancelOrder;

export type OrderLine = z.infer<typeof line>;

export type OrderCommand =
  | Command<'order.create', z.infer<typeof createOrder>>
  | Command<'order.pay', z.infer<typeof payOrder>>
  | Command<'order.ship', z.infer<typeof shipOrder>>
  | Command<'order.deliver', z.infer<typeof deliverOrder>>
  | Command<'order.cancel', z.infer<typeof cancelOrder>>;

export type OrderEvent =
  | NewEvent<'order.created', z.infer<typeof orderCreated>>
  | NewEvent<'order.paid', z.infer<typeof orderPaid>>
  | NewEvent<'order.shipped', z.infer<typeof orderShipped>>
  | NewEvent<'order.delivered', z.infer<typeof orderDelivered>>
  | NewEvent<'order.cancelled', z.infer<typeof orderCancelled>>;
