import type { ParkReason } from './message-bus.js';

/** What an adapter counts; called once a batch, not once a message. */
export type MessagingMetrics = {
  onSettled(queue: string, answer: 'ack' | 'retry' | 'park' | 'giveBack' | 'reject' | 'refuse', count: number): void;
  onParked(queue: string, reason: ParkReason): void;
  onReconnect(): void;
};
