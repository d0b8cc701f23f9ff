import { type Client, compileClient } from "./compile-client.js";

/** The compiled client. In `dist`, this module is the result, and nothing is compiled. */
export const CLIENT: Client = compileClient();
