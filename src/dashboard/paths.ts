/** What a path of the page names. The base path is unknown: proxies may strip a part of it. */
export type DashboardPath =
  | { readonly kind: "page" }
  /** The page without its final slash, to which relative URLs would not belong. */
  | { readonly kind: "redirect"; readonly location: string }
  | { readonly kind: "asset"; readonly name: string }
  | { readonly kind: "session" }
  | { readonly kind: "portal" }
  /** The rest of the path is that of the management API. */
  | { readonly kind: "api"; readonly path: string };

const OWN = /^.*\/-\/(?:(session|portal)|assets\/([^/]+)|api(\/keys(?:\/.*)?))$/;

/** Reads a path by its end. Everything of the page but itself is below `-/`. */
export function readPath(path: string): DashboardPath {
  const match = OWN.exec(path);
  if (match !== null) {
    const [, own, asset, api] = match;
    if (asset !== undefined) return { kind: "asset", name: asset };
    if (api !== undefined) return { kind: "api", path: api };
    return { kind: own as "session" | "portal" };
  }
  if (path.endsWith("/")) return { kind: "page" };
  // "./" keeps a segment with a colon from being read as a scheme.
  return { kind: "redirect", location: `./${path.slice(path.lastIndexOf("/") + 1)}/` };
}
