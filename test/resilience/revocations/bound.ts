import { randomUUID } from "node:crypto";

export const HEARTBEAT = "500ms";
/** The heartbeat and the default time limit of a store. */
export const BOUND_MS = 750;
/** The channel of the bus; the processes of one run share it. */
export const CHANNEL: string = process.env.CHANNEL ?? `keybearer:test:${randomUUID()}`;
