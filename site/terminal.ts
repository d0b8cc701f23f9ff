interface Style {
  readonly color?: string | undefined;
  readonly bold?: boolean;
  readonly dim?: boolean;
}

const COLORS: Readonly<Record<number, string>> = {
  31: "#f87171",
  32: "#4ade80",
  33: "#fbbf24",
  34: "#60a5fa",
  35: "#c084fc",
  36: "#22d3ee",
  90: "#94a3b8",
};
const CELL = { width: 8.4, height: 20 };
const MARGIN = 20;

/** Returns the style after an SGR sequence (ECMA-48, 8.3.117). Codes that change nothing here are ignored. */
function styleAfter(style: Style, code: number): Style {
  if (code === 0) return {};
  if (code === 1) return { ...style, bold: true };
  if (code === 2) return { ...style, dim: true };
  if (code === 22) return { ...style, bold: false, dim: false };
  if (code === 39) return { ...style, color: undefined };
  return code in COLORS ? { ...style, color: COLORS[code] } : style;
}

/** Draws the output of a terminal as an SVG of a window with a title. */
export function drawTerminal(title: string, output: string): string {
  const lines = output.replace(/\r/g, "").trimEnd().split("\n");
  let style: Style = {};
  let columns = 0;
  const rows = lines.map((line, row) => {
    let column = 0;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
    const spans = line.split(/\u001b\[([\d;]*)m/).map((part, index) => {
      if (index % 2 === 1) {
        for (const code of part.split(";")) style = styleAfter(style, Number(code));
        return "";
      }
      const span = drawSpan(part, column, MARGIN + (row + 2.6) * CELL.height, style);
      column += part.length;
      return span;
    });
    columns = Math.max(columns, column);
    return spans.join("");
  });
  const width = Math.ceil(columns * CELL.width + 2 * MARGIN);
  const height = Math.ceil((lines.length + 2) * CELL.height + MARGIN);
  const lights = ["#f87171", "#fbbf24", "#4ade80"].map(
    (color, index) => `<circle cx="${MARGIN + 4 + index * 18}" cy="20" r="5.5" fill="${color}"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escapeXml(title)}</title>
<rect width="${width}" height="${height}" rx="10" fill="#0f172a"/>
${lights.join("")}
<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#e2e8f0">
<text x="${width / 2}" y="25" text-anchor="middle" fill="#94a3b8">${escapeXml(title)}</text>
${rows.filter((row) => row !== "").join("\n")}
</g>
</svg>
`;
}

function drawSpan(text: string, column: number, y: number, { color, bold, dim }: Style): string {
  const start = text.length - text.trimStart().length;
  const trimmed = text.trim();
  if (trimmed === "") return "";
  const x = (MARGIN + (column + start) * CELL.width).toFixed(1);
  const attributes = [
    `x="${x}" y="${y.toFixed(0)}" textLength="${(trimmed.length * CELL.width).toFixed(1)}"`,
    'lengthAdjust="spacingAndGlyphs" xml:space="preserve"',
    ...(color === undefined ? [] : [`fill="${color}"`]),
    ...(bold === true ? ['font-weight="bold"'] : []),
    ...(dim === true ? ['fill-opacity="0.65"'] : []),
  ];
  return `<text ${attributes.join(" ")}>${escapeXml(trimmed)}</text>`;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
