// On the wire an id is a UUID; keybearer writes the same 32 digits behind `key_`.
const UUID = /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/;

export function publicId(id: string): string {
  return id.replace(/^key_(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The id that a store knows; `undefined` for what is no UUID. */
export function storedId(id: string): string | undefined {
  return UUID.test(id) ? `key_${id.replaceAll("-", "")}` : undefined;
}
