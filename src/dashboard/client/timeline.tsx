import { exactDate, t } from "./texts.js";

interface TimelineProps {
  readonly start: number;
  /** The end of the overlap; `undefined` without one. */
  readonly end: number | undefined;
}

/** The old and the new key over time. */
export function Timeline({ start, end }: TimelineProps) {
  const label = end === undefined ? t("noOverlap") : t("timeline", { date: exactDate(end) });
  const done = end === undefined ? 0 : Math.min(1, Math.max(0, (Date.now() - start) / (end - start)));
  return (
    <figure class="timeline">
      <div class="lane" aria-hidden="true">
        <span>{t("oldKey")}</span>
        <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
          <rect class="old" x="0" y="1" height="6" rx="0.9" ry="3" width={end === undefined ? 22 : 62} />
        </svg>
      </div>
      <div class="lane" aria-hidden="true">
        <span>{t("newKey")}</span>
        <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
          <rect class="new" x="22" y="1" height="6" rx="0.9" ry="3" width="78" />
          <rect class="mark" x={22 + done * 40} y="0" height="8" width="0.5" />
        </svg>
      </div>
      <figcaption>{label}</figcaption>
    </figure>
  );
}
