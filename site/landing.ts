import { read, sectionOf, tableRows } from "./markdown.js";

const CODE = /^```ts\n(.*?)^```$/gms;

/** Returns a group of tabs with the guarded route of each framework, from the pages where it is tested. */
export function codeTabs(): string {
  const quickStart = sectionOf("README.md", "Quick start");
  const fromReadme = ["Express", "Koa", "Hono", "Fastify"].map(
    (name) => [name, codeAfter(quickStart, `**${name}**`)] as const,
  );
  const tabs = [
    ...fromReadme,
    ["NestJS", codeAfter(read("docs/nestjs.md"), "@Controller", true)] as const,
    ["fetch", codeAfter(read("docs/fetch-and-node.md"), "## Guard fetch handlers")] as const,
  ];
  return `::: code-group\n\n${tabs.map(([name, code]) => `\`\`\`ts [${name}]\n${code}\`\`\``).join("\n\n")}\n\n:::`;
}

/**
 * Returns the first TypeScript block after a text, or with `inside` the block that contains it.
 * @throws Error if it is missing.
 */
function codeAfter(page: string, text: string, inside = false): string {
  const start = page.indexOf(text);
  const block = [...page.matchAll(CODE)].find(([all, code = ""], _, __) => {
    const index = page.indexOf(all);
    return inside ? code.includes(text) : start >= 0 && index > start;
  });
  if (block === undefined) throw new Error(`No TypeScript block for "${text}"`);
  return block[1] as string;
}

const ROWS = ["kind", "storage", "permissions", "networks per key", "rotation"];

/** Returns the rows of the comparison that decide most choices, one peer a row, without the numbers of sources. */
export function peers(): string {
  const columns = ["Services and servers", "Libraries"].flatMap((heading, index) => {
    const [names = [], ...rows] = tableRows(sectionOf("docs/comparison.md", heading));
    return names.slice(index === 0 ? 1 : 2).map((name, column) => {
      const at = column + (index === 0 ? 1 : 2);
      const cells = ROWS.map((label) => {
        const row = rows.find(([first]) => first === label);
        if (row === undefined) throw new Error(`docs/comparison.md has no row "${label}" in "${heading}"`);
        return row[at] ?? "";
      });
      return [`**${name}**`, ...cells].map((cell) => cell.replace(/ \[[\d, ]+\]/g, ""));
    });
  });
  return table(["", ...ROWS], columns);
}

/** Returns the figures of the README, with how they were measured. */
export function figures(): string {
  return sectionOf("README.md", "Performance");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
