import { createHash } from "node:crypto";
import { CLIENT } from "./assets.js";

/** A file of the page. */
export interface Asset {
  readonly type: string;
  readonly body: string;
}

/** The files of the page. */
export interface Page {
  readonly html: string;
  /** By name; a name contains the hash of the file. */
  readonly assets: ReadonlyMap<string, Asset>;
}

/** Everything is of the page's own origin, and nothing is inline. */
export const CONTENT_SECURITY_POLICY: string = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join("; ");

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ctext y='13' font-size='13'%3E%F0%9F%94%91%3C/text%3E%3C/svg%3E";

/** Creates the page. Its URLs are relative, so it works below any path. */
export function createPage(title: string, theme: string): Page {
  const assets = new Map<string, Asset>();
  const add = (name: string, extension: string, type: string, body: string): string => {
    const hash = createHash("sha256").update(body).digest("hex").slice(0, 16);
    const file = `${name}-${hash}.${extension}`;
    assets.set(file, { type, body });
    return `-/assets/${file}`;
  };
  const script = add("page", "js", "text/javascript; charset=utf-8", CLIENT.script);
  const style = add("page", "css", "text/css; charset=utf-8", CLIENT.style);
  const colours = add("theme", "css", "text/css; charset=utf-8", theme);
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="${ICON}">
<link rel="stylesheet" href="${style}">
<link rel="stylesheet" href="${colours}">
<script type="module" src="${script}"></script>
</head>
<body>
<div id="page"></div>
<noscript>This page needs JavaScript.</noscript>
</body>
</html>
`;
  return { html, assets };
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
