export { type LastUsed, type LastUsedOptions, lastUsed } from "./last-used.js";
