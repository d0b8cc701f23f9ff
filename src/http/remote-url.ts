/** Reads a URL from which keys are fetched. Throws what `fail` creates if it is not `https:`, or `http:` on loopback. */
export function readUrl(location: unknown, fail: (problem: string) => Error): URL {
  if (!URL.canParse(location as string)) throw fail("is not a URL");
  const url = new URL(location as string);
  const isLoopback = /^(?:localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback)) {
    throw fail("must be an https: URL; http: is allowed on loopback only");
  }
  if (url.username !== "" || url.password !== "") {
    throw fail("must be a URL without a user name or password");
  }
  return url;
}
