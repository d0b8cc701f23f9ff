import type { IssuedKey } from "../kit.js";
import { CommandError, EXIT, errorKind, OutputClosedError } from "./errors.js";
import { escapeText } from "./escape.js";
import { formatDetails, type Output } from "./output.js";
import { keyDetails } from "./tables.js";

/**
 * Writes the secret to stdout, alone, so that it can be piped, and the key to stderr.
 *
 * @throws CommandError if the secret cannot be written. The key exists, but its secret is lost.
 */
export async function writeIssuedKey(output: Output, issued: IssuedKey, json: boolean): Promise<void> {
  const { secret, key } = issued;
  if (!json) {
    output.log(formatDetails(keyDetails(key, output.terminal !== undefined)));
    output.log("The secret is shown only once:");
  }
  try {
    await (json ? output.json({ secret, key }) : output.write(`${secret}\n`));
  } catch (error) {
    const id = escapeText(key.id);
    const reason = error instanceof OutputClosedError ? "the output is closed" : errorKind(error);
    throw new CommandError(
      EXIT.failed,
      `The secret of ${id} could not be written (${reason}) and is lost. Revoke the key: npx keybearer revoke ${id}`,
    );
  }
}
