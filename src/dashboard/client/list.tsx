import { useEffect, useRef, useState } from "preact/hooks";
import type { PersonBody } from "../session-body.js";
import { api, type Filters, type Key, type KeyStatus } from "./api.js";
import { ErrorNotice, nameOf, Status, useAction, When } from "./parts.js";
import { exactDate, t } from "./texts.js";

const STATUSES: readonly KeyStatus[] = ["active", "retiring", "disabled", "suspended", "expired", "revoked"];
const NO_FILTERS: Filters = { status: "", environment: "", search: "" };
const SEARCH_DELAY_MS = 250;

interface ListProps {
  readonly person: PersonBody;
  /** Grows when keys were created or changed. */
  readonly revision: number;
}

/** The keys of the owner, newest first. */
export function KeyList({ person, revision }: ListProps) {
  const [filters, setFilters] = useState(NO_FILTERS);
  const [keys, setKeys] = useState<readonly Key[]>();
  const [next, setNext] = useState<string>();
  const { busy, error, run } = useAction();
  const latest = useRef(0);
  const isFiltered = Object.values(filters).some((value) => value !== "");

  const load = async (cursor?: string) => {
    const number = ++latest.current;
    const page = await api.list(filters, cursor);
    if (number !== latest.current) return; // a later request has other filters
    setKeys([...(cursor ? (keys ?? []) : []), ...page.items]);
    setNext(page.nextCursor);
  };
  const [failure, setFailure] = useState<unknown>();
  const reload = () => {
    setFailure(undefined);
    load().catch(setFailure);
  };
  const isFirst = useRef(true);
  useEffect(() => {
    const timer = setTimeout(reload, isFirst.current ? 0 : SEARCH_DELAY_MS);
    isFirst.current = false;
    return () => clearTimeout(timer);
  }, [filters]);
  useEffect(() => {
    if (revision > 0) reload();
  }, [revision]);

  if (keys?.length === 0 && !isFiltered && failure === undefined) {
    return (
      <section class="empty">
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <circle cx="8" cy="15" r="4.2" />
          <path d="M11 12l8-8M16 7l3 3M14 9l2 2" />
        </svg>
        <h2>{t("emptyTitle")}</h2>
        <p>{t("emptyText")}</p>
      </section>
    );
  }
  return (
    <section aria-label={t("key")}>
      <FilterBar filters={filters} environments={person.environments} onChange={setFilters} />
      <ErrorNotice error={failure ?? error} onRetry={reload} />
      {keys === undefined ? (
        failure === undefined && <p class="dim pad">{t("loading")}</p>
      ) : keys.length === 0 ? (
        <p class="empty small">
          {t("noMatch")}{" "}
          <button type="button" class="link" onClick={() => setFilters(NO_FILTERS)}>
            {t("clearFilters")}
          </button>
        </p>
      ) : (
        <KeyTable keys={keys} />
      )}
      <footer class="list-foot">
        <span class="dim" role="status">
          {keys !== undefined && t("keysShown", { n: keys.length })}
        </span>
        {next !== undefined && (
          <button type="button" class="secondary" disabled={busy} onClick={() => run(() => load(next))}>
            {t("loadMore")}
          </button>
        )}
      </footer>
    </section>
  );
}

interface FilterProps {
  readonly filters: Filters;
  readonly environments: readonly string[];
  readonly onChange: (filters: Filters) => void;
}

function FilterBar({ filters, environments, onChange }: FilterProps) {
  const set = (name: keyof Filters, value: string) => onChange({ ...filters, [name]: value });
  return (
    <search class="filters">
      <input
        type="search"
        aria-label={t("search")}
        placeholder={t("search")}
        maxLength={255}
        value={filters.search}
        onInput={(event) => set("search", event.currentTarget.value)}
      />
      <select
        aria-label={t("status")}
        value={filters.status}
        onChange={(event) => set("status", event.currentTarget.value)}
      >
        <option value="">{t("allStatuses")}</option>
        {STATUSES.map((status) => (
          <option key={status} value={status}>
            {t(status)}
          </option>
        ))}
      </select>
      {environments.length > 1 && (
        <select
          aria-label={t("environment")}
          value={filters.environment}
          onChange={(event) => set("environment", event.currentTarget.value)}
        >
          <option value="">{t("allEnvironments")}</option>
          {environments.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      )}
    </search>
  );
}

// The roles are explicit, because a narrow screen shows rows as blocks, which removes those of a table.
function KeyTable({ keys }: { readonly keys: readonly Key[] }) {
  const heads = ["key", "status", "scopes", "lastUsed", "expires", "created"] as const;
  return (
    <table role="table" class="keys">
      <thead role="rowgroup">
        <tr role="row">
          {heads.map((head) => (
            <th key={head} role="columnheader" scope="col">
              {t(head)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {keys.map((key) => (
          <KeyRow key={key.id} shown={key} />
        ))}
      </tbody>
    </table>
  );
}

function KeyRow({ shown }: { readonly shown: Key }) {
  const [first, ...rest] = shown.scopes;
  const networks = shown.ipAllowlist?.join(", ");
  return (
    <tr role="row">
      <td role="cell" class="main">
        <a href={`#key=${encodeURIComponent(shown.id)}`}>{nameOf(shown)}</a>
        <code>{shown.start}…</code>
      </td>
      <td role="cell">
        <Status status={shown.status} />
        {shown.environment && <span class="tag">{shown.environment}</span>}
      </td>
      <td role="cell" class="access">
        <span title={shown.scopes.join(", ")}>
          {first}
          {rest.length > 0 && <span class="dim"> +{rest.length}</span>}
        </span>
        <span class="sub" title={networks}>
          {networks === undefined ? t("anyNetwork") : networks || t("noNetwork")}
        </span>
      </td>
      <td role="cell" data-label={t("lastUsed")}>
        <When date={shown.lastUsedAt} empty={t("neverUsed")} />
      </td>
      <td role="cell" data-label={t("expires")}>
        <When date={shown.expiresAt} empty={t("never")} />
      </td>
      <td role="cell" data-label={t("created")}>
        <span title={shown.createdAt === null ? undefined : exactDate(shown.createdAt)}>
          <When date={shown.createdAt} empty="" />
        </span>
        <span class="sub">{shown.createdBy}</span>
      </td>
    </tr>
  );
}
