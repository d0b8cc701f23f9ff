/** Colours of the page. */
export interface Theme {
  /** The colour of buttons, links and focus rings, such as `"#4f46e5"`. */
  readonly accent?: string;
  /** The same for dark mode; `accent` by default. */
  readonly accentDark?: string;
}

const DEFAULT_ACCENT = "#4f46e5";
const DEFAULT_ACCENT_DARK = "#818cf8";
const COLOUR = /^#[0-9a-f]{6}$/i;

/** @throws TypeError if a colour is not of the form `#rrggbb`. */
export function readTheme(where: string, theme: Theme): string {
  for (const [name, value] of Object.entries(theme)) {
    if (typeof value !== "string" || !COLOUR.test(value)) {
      throw new TypeError(`${where}: "theme.${name}" must be a colour such as "#4f46e5"`);
    }
  }
  const { accent = DEFAULT_ACCENT, accentDark = theme.accent ?? DEFAULT_ACCENT_DARK } = theme;
  return `:root{${variables(accent)}}@media (prefers-color-scheme:dark){:root{${variables(accentDark)}}}\n`;
}

function variables(accent: string): string {
  return `--accent:${accent};--on-accent:${luminance(accent) > 0.179 ? "#000000" : "#ffffff"}`;
}

/** The relative luminance of a colour (WCAG 2.2). Above 0.179, black text has more contrast than white text. */
function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const value = Number.parseInt(colour.slice(start, start + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
