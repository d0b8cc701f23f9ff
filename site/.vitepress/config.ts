import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type DefaultTheme, defineConfig } from "vitepress";
import manifest from "../../package.json" with { type: "json" };
import { ROOT, slugify } from "../markdown.js";
import { routeOf, sections } from "../pages.js";

const base = process.env.DOCS_BASE ?? "/";
const repository = manifest.repository.url.replace(/^git\+|\.git$/g, "");

/** The pages of TypeDoc, one for each subpath export, in the order of package.json. */
function reference(): DefaultTheme.SidebarItem[] {
  const written = new Set(readdirSync(join(ROOT, "site/.pages/reference"), { recursive: true }) as string[]);
  return Object.keys(manifest.exports)
    .map((subpath) => subpath.replace(/^\./, manifest.name))
    .filter((name) => written.has(`${name}.md`))
    .map((name) => ({ text: name, link: `/reference/${name}` }));
}

export default defineConfig({
  title: "keybearer",
  description: manifest.description,
  lang: "en",
  base,
  srcDir: ".pages",
  cacheDir: ".vitepress/cache",
  head: [["link", { rel: "icon", type: "image/svg+xml", href: `${base}logo.svg` }]],
  metaChunk: true,
  // The index of the search is larger, and loaded with the first search.
  vite: { build: { chunkSizeWarningLimit: 2_000 } },
  markdown: {
    anchor: { slugify },
    theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
  },
  themeConfig: {
    logo: "/logo.svg",
    nav: [
      { text: "Guide", link: "/get-started", activeMatch: "^/(?!reference|changelog)." },
      { text: "API", link: "/reference/keybearer", activeMatch: "^/reference/" },
      { text: `v${manifest.version}`, link: "/changelog", activeMatch: "^/changelog" },
    ],
    sidebar: {
      "/reference/": [{ text: "API", items: reference() }],
      "/": sections.map(({ title, pages }) => ({
        text: title,
        items: pages.map(({ source, label }) => ({ text: label, link: routeOf(source) as string })),
      })),
    },
    outline: { level: [2, 3] },
    search: {
      provider: "local",
      options: {
        detailedView: true,
        // Guides come before the reference, which repeats every name many times.
        miniSearch: {
          searchOptions: { boostDocument: (id: string) => (id.includes("/reference/") ? 0.2 : 1) },
        },
      },
    },
    socialLinks: [{ icon: "github", link: repository }],
    footer: { message: "MIT licensed", copyright: `keybearer ${manifest.version}` },
  },
});
