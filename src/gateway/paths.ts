// Unreserved characters and others that need no encoding in a path (RFC 3986, 3.3), without ";".
const SEGMENT = /^[A-Za-z0-9\-._~!$&'()*+,=:@]*$/;
const MAX_LENGTH = 8_192;

/**
 * Normalizes the path of a request target: encoded unreserved characters are decoded, and other encodings are in upper case
 * (RFC 3986, 6.2.2). Returns `undefined` for a target that a proxy, the gateway and a backend could read differently: an
 * encoded or double slash, a dot segment, a backslash, a semicolon, a control character, an invalid or a double encoding.
 */
export function normalizePath(target: string): string | undefined {
  const [path = ""] = target.split("?", 1);
  if (!path.startsWith("/") || path.length > MAX_LENGTH) return undefined;
  const segments = path.slice(1).split("/").map(normalizeSegment);
  const isAmbiguous = segments.some(
    (segment, index) =>
      segment === undefined ||
      segment === "." ||
      segment === ".." ||
      (segment === "" && index < segments.length - 1), // a slash at the end stays
  );
  return isAmbiguous ? undefined : `/${segments.join("/")}`;
}

function normalizeSegment(segment: string): string | undefined {
  let decoded: string;
  try {
    decoded = decodeURIComponent(segment);
  } catch {
    return undefined;
  }
  if (/[\p{Cc}/\\;%]/u.test(decoded)) return undefined;
  const encoded = segment.replace(/%([0-9A-Fa-f]{2})/g, (sequence, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    return /[A-Za-z0-9\-._~]/.test(character) ? character : sequence.toUpperCase();
  });
  return SEGMENT.test(encoded.replace(/%[0-9A-F]{2}/g, "")) ? encoded : undefined;
}
