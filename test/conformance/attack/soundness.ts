import { expect } from "vitest";
import { header, type RawResponse } from "../../unit/adapters/raw.js";

// RFC 9110, 11.6.1, for one challenge: a scheme, and parameters with quoted values.
const PARAMETER = /[!#$%&'*+.^_`|~0-9A-Za-z-]+="(?:[ !#-[\]-~]|\\[ -~])*"/.source;
const CHALLENGE = new RegExp(`^Bearer ${PARAMETER}(?:, ${PARAMETER})*$`);
const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

// Lines of a stack trace, source files, and the error message of the failing database.
const INTERNALS = /\n\s+at \S|node_modules|\/src\/|\.ts:\d|node:internal|hunter2|ECONNREFUSED|select \*/;

/** Returns the parts of a request that could be a secret: what follows a scheme, and key-like strings. */
export function sentSecrets(bytes: string): readonly string[] {
  const credentials = [...bytes.matchAll(/(?:Bearer|Basic|JWT|DPoP) +([^\s,;"]{12,})/gi)].map(
    ([, found]) => found as string,
  );
  const keys = [...bytes.matchAll(/ezt_(?:live|test)_[0-9A-Za-z]{20,}/g)].map(([found]) => found);
  return [...new Set([...credentials, ...keys])];
}

/** Checks what is true of every response to every request, from a guard or not. */
export function expectSound(response: RawResponse, sent: string, mayPass: boolean): void {
  const { status, body, lines } = response;
  if (!mayPass) expect(status, "a status of 2xx").not.toSatisfy((code: number) => code >= 200 && code < 300);
  const text = [response.statusLine, ...lines, body].join("\n");
  expect(text).not.toMatch(INTERNALS);
  expect(text).not.toContain(process.cwd());
  for (const secret of sentSecrets(sent)) expect(text.includes(secret), "the secret is echoed").toBe(false);
  const requestId = header(response, "x-request-id");
  if (requestId !== undefined) expect(requestId).toMatch(REQUEST_ID);
  const challenge = header(response, "www-authenticate");
  if (challenge !== undefined) expect(challenge).toMatch(CHALLENGE);
  if (status === 401) expect(challenge, "RFC 9110, 15.5.2").toBeDefined();
  // Only guards and handlers of the package respond with these.
  if ([401, 403, 409, 429, 503].includes(status)) {
    expect(header(response, "cache-control")).toBe("no-store");
    expect(requestId).toBeDefined();
    expect(header(response, "content-type")).toMatch(/^application\/(?:problem\+)?json$/);
  }
}
