import type { IssuedKey } from "../kit.js";
import { CommandError, EXIT, kindOf, OutputClosedError } from "./failure.js";
import { type Output, sheet } from "./output.js";
import { printable } from "./printable.js";
import { factsOf } from "./views.js";

/**
 * Writes a secret to stdout, alone, so that it can be piped; what it belongs to goes to stderr.
 *
 * @throws CommandError when nobody took it: the key is there, and nobody will ever know its secret.
 */
export async function handOut(output: Output, issued: IssuedKey, json: boolean): Promise<void> {
  const { secret, key } = issued;
  if (!json) {
    output.say(sheet(factsOf(key)));
    output.say("The secret is shown this once:");
  }
  try {
    await (json ? output.json({ secret, key }) : output.write(`${secret}\n`));
  } catch (error) {
    const happened =
      error instanceof OutputClosedError ? "Nobody read" : `The output failed (${kindOf(error)}): nobody has`;
    throw new CommandError(
      EXIT.failed,
      `${happened} the secret of ${printable(key.id)}, and it is lost: revoke this key`,
    );
  }
}
