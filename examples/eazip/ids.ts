// Clients see UUIDs. keybearer stores the same 32 hex digits with the prefix `key_`.
const UUID = /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/;

/** Converts a stored id to a UUID. */
export function publicId(id: string): string {
  return id.replace(/^key_(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Converts a UUID to a stored id. Returns `undefined` for any other string. */
export function storedId(id: string): string | undefined {
  return UUID.test(id) ? `key_${id.replaceAll("-", "")}` : undefined;
}
