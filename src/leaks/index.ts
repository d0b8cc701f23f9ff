/**
 * Receives reports of leaked secrets from secret scanners.
 *
 * @module
 */

export type {
  GithubOptions,
  GitlabOptions,
  LeakReceiverOptions,
  LeakReport,
  TrufflehogOptions,
} from "./options.js";
export { createLeakReceiver } from "./receiver.js";
