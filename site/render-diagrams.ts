// Renders the mermaid blocks of the documentation to SVG, in site/public/diagrams. Needs Chromium.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MermaidConfig } from "mermaid";
import { install } from "../bench/install.js";
import { allDiagrams, FOLDER, THEMES } from "./diagrams.js";
import { ROOT } from "./markdown.js";

interface Palette {
  /** The background of the page. */
  readonly page: string;
  readonly ink: string;
  readonly line: string;
  readonly fill: string;
  readonly border: string;
  readonly group: string;
  readonly accent: string;
  readonly denial: string;
}

const PALETTES: Readonly<Record<(typeof THEMES)[number], Palette>> = {
  light: {
    page: "#ffffff",
    ink: "#1f2937",
    line: "#64748b",
    fill: "#ffffff",
    border: "#94a3b8",
    group: "#f1f5f9",
    accent: "#ccfbf1",
    denial: "#fee2e2",
  },
  dark: {
    page: "#1b1b1f",
    ink: "#e2e8f0",
    line: "#94a3b8",
    fill: "#1e293b",
    border: "#64748b",
    group: "#16202e",
    accent: "#115e59",
    denial: "#7f1d1d",
  },
};

function configOf({ page, ink, line, fill, border, group, accent, denial }: Palette): MermaidConfig {
  return {
    startOnLoad: false,
    deterministicIds: true,
    theme: "base",
    // Arial has the widths of Liberation Sans and Helvetica, so text fits where another of them is installed.
    fontFamily: "Arial, Helvetica, 'Liberation Sans', sans-serif",
    htmlLabels: false,
    themeCSS: `.edgeLabel rect { opacity: 1 !important; } .grid .tick line { stroke: ${border}; opacity: 0.5; }`,
    flowchart: {
      htmlLabels: false,
      curve: "basis",
      useMaxWidth: false,
      nodeSpacing: 24,
      rankSpacing: 36,
      padding: 10,
      diagramPadding: 4,
    },
    sequence: { useMaxWidth: false, mirrorActors: false, boxMargin: 8 },
    gantt: {
      useMaxWidth: false,
      barHeight: 28,
      fontSize: 13,
      sectionFontSize: 13,
      leftPadding: 90,
      useWidth: 700,
    },
    themeVariables: {
      fontSize: "14px",
      background: "transparent",
      primaryColor: fill,
      primaryTextColor: ink,
      primaryBorderColor: border,
      secondaryColor: group,
      tertiaryColor: group,
      lineColor: line,
      textColor: ink,
      clusterBkg: group,
      clusterBorder: border,
      edgeLabelBackground: page,
      actorBkg: accent,
      actorBorder: border,
      actorTextColor: ink,
      signalColor: line,
      signalTextColor: ink,
      labelBoxBkgColor: group,
      labelBoxBorderColor: border,
      labelTextColor: ink,
      loopTextColor: ink,
      noteBkgColor: group,
      noteBorderColor: border,
      noteTextColor: ink,
      sectionBkgColor: group,
      altSectionBkgColor: group,
      taskBkgColor: fill,
      taskBorderColor: border,
      taskTextColor: ink,
      taskTextDarkColor: ink,
      taskTextLightColor: ink,
      taskTextOutsideColor: ink,
      activeTaskBkgColor: group,
      activeTaskBorderColor: line,
      doneTaskBkgColor: accent,
      doneTaskBorderColor: border,
      critBkgColor: denial,
      critBorderColor: border,
      gridColor: border,
      todayLineColor: "transparent",
    },
  };
}

/** The classes that the diagrams use. GitHub renders a class without a definition as an ordinary node. */
function classesOf({ accent, denial, border, ink }: Palette): string {
  return `
  classDef trusted fill:${accent},stroke:${border},color:${ink}
  classDef denial fill:${denial},stroke:${border},color:${ink}
`;
}

install(join(ROOT, "site/"), "mermaid");
const { launchChromium } = await import("./chromium.js");
const browser = await launchChromium();
try {
  const page = await browser.newPage();
  await page.setContent("<!doctype html><body></body>");
  await page.addScriptTag({ path: join(ROOT, "site/node_modules/mermaid/dist/mermaid.min.js") });
  const pictures: [name: string, svg: string][] = [];
  for (const { name, source } of allDiagrams()) {
    for (const theme of THEMES) {
      const text = source.startsWith("flowchart") ? source + classesOf(PALETTES[theme]) : source;
      const svg = await page.evaluate(
        async ({ id, text, config }) => {
          const { mermaid } = globalThis as unknown as { mermaid: typeof import("mermaid").default };
          mermaid.initialize(config);
          const rendered = (await mermaid.render(id, text)).svg;
          const element = new DOMParser().parseFromString(rendered, "text/html").querySelector("svg");
          return new XMLSerializer().serializeToString(element as SVGElement);
        },
        { id: `d-${name}`, text, config: configOf(PALETTES[theme]) },
      );
      pictures.push([`${name}.${theme}.svg`, `${svg}\n`]);
    }
  }
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  for (const [file, svg] of pictures) writeFileSync(join(FOLDER, file), svg);
  console.log(`${pictures.length} pictures in site/public/diagrams`);
} finally {
  await browser.close();
}
