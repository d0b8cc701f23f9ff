import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { MessageKey } from "../messages.js";
import type { PersonBody, SessionBody } from "../session-body.js";
import { ApiError, api, type Issued, type Key } from "./api.js";
import { CreateDialog } from "./create.js";
import { KeyList } from "./list.js";
import { KeyPanel } from "./panel.js";
import { ErrorNotice } from "./parts.js";
import { SecretDialog } from "./secret.js";
import { errorText, setLanguage, t } from "./texts.js";

/** Takes the code of a portal link out of the URL, and so out of the history. */
function takePortalCode(): string | undefined {
  const code = /^#portal=(.+)$/.exec(location.hash)?.[1];
  if (code !== undefined) history.replaceState(null, "", location.pathname + location.search);
  return code;
}

const keyInUrl = () => new URLSearchParams(location.hash.slice(1)).get("key") ?? undefined;

function App() {
  const [session, setSession] = useState<SessionBody>();
  const [failure, setFailure] = useState<unknown>();
  const start = async () => {
    setFailure(undefined);
    try {
      const code = takePortalCode();
      if (code !== undefined) await api.redeem(code);
    } catch (error) {
      setFailure(error);
    }
    try {
      const loaded = await api.session();
      setLanguage(loaded.messages);
      document.title = loaded.title;
      setSession(loaded);
    } catch (error) {
      setFailure(error);
    }
  };
  useEffect(() => {
    start();
  }, []);
  if (session === undefined) {
    return (
      <main class="page">{failure !== undefined && <ErrorNotice error={failure} onRetry={start} />}</main>
    );
  }
  const { person } = session;
  return (
    <>
      <Header session={session} />
      <main class="page">
        {person === null ? (
          <SignedOut session={session} failure={failure} />
        ) : (
          <Keys person={person} title={session.title} failure={failure} />
        )}
      </main>
    </>
  );
}

function Header({ session: { logo, person } }: { readonly session: SessionBody }) {
  if (logo === undefined && person === null) return null;
  return (
    <header class="top">
      {logo !== undefined && <img src={logo} alt="" class="logo" />}
      {person?.returnUrl !== undefined && <a href={person.returnUrl}>← {t("back")}</a>}
      {person !== null && <span class="dim actor">{t("signedInAs", { actor: person.actor })}</span>}
    </header>
  );
}

interface SignedOutProps {
  readonly session: SessionBody;
  readonly failure: unknown;
}

function SignedOut({ session, failure }: SignedOutProps) {
  const isPortal = failure instanceof ApiError && failure.code === "invalid_portal_code";
  const isOther = failure !== undefined && !isPortal;
  return (
    <section class="empty">
      <h1>{t(isPortal ? "portalFailed" : "signedOutTitle")}</h1>
      <p>{isOther ? errorText(failure) : t(isPortal ? "portalFailedText" : "signedOutText")}</p>
      {session.signInUrl !== undefined && (
        <a class="primary" href={session.signInUrl}>
          {t("signIn")}
        </a>
      )}
    </section>
  );
}

interface KeysProps {
  readonly person: PersonBody;
  readonly title: string;
  readonly failure: unknown;
}

interface Notice {
  readonly text: string;
  readonly isBad: boolean;
}

function Keys({ person, title, failure }: KeysProps) {
  const mayCreate = person.scopes.some(({ grantable }) => grantable);
  const [creating, setCreating] = useState(mayCreate && new URLSearchParams(location.search).has("create"));
  const [issued, setIssued] = useState<Issued>();
  const [shown, setShown] = useState<Key>();
  const [revision, setRevision] = useState(0);
  const [notice, setNotice] = useState<Notice | undefined>(
    failure === undefined ? undefined : { text: errorText(failure), isBad: true },
  );
  const changed = () => setRevision((number) => number + 1);
  const say = (key: MessageKey) => setNotice({ text: t(key), isBad: false });
  const complain = (error: unknown) => setNotice({ text: errorText(error), isBad: true });

  const open = async () => {
    const id = keyInUrl();
    if (id === undefined) return setShown(undefined);
    try {
      setShown(await api.get(id));
    } catch (error) {
      closePanel();
      complain(error);
    }
  };
  const closePanel = () => {
    setShown(undefined);
    history.replaceState(null, "", location.pathname + location.search);
  };
  useEffect(() => {
    open();
    addEventListener("hashchange", open);
    return () => removeEventListener("hashchange", open);
  }, []);
  useEffect(() => {
    if (notice === undefined || notice.isBad) return;
    const timer = setTimeout(() => setNotice(undefined), 5_000);
    return () => clearTimeout(timer);
  }, [notice]);

  const closeCreate = () => {
    setCreating(false);
    if (location.search !== "") history.replaceState(null, "", location.pathname + location.hash);
  };

  return (
    <>
      <div class="title">
        <div>
          <h1>{title}</h1>
          <p class="dim">{t("intro")}</p>
        </div>
        {mayCreate && (
          <button type="button" class="primary" onClick={() => setCreating(true)}>
            {t("create")}
          </button>
        )}
      </div>
      <KeyList person={person} revision={revision} />
      {creating && (
        <CreateDialog
          person={person}
          onClose={closeCreate}
          onCreated={(created) => {
            closeCreate();
            setIssued(created);
            changed();
          }}
        />
      )}
      {shown !== undefined && (
        <KeyPanel
          key={shown.id}
          shown={shown}
          person={person}
          onClose={closePanel}
          onChanged={(key, message) => {
            setShown(key);
            changed();
            if (message) say(message);
          }}
          onConflict={(_, error) => {
            // A conflict is another window's change; the reason of the service says which state the key is in.
            setNotice({ text: error.status === 404 ? errorText(error) : t("changedElsewhere"), isBad: true });
            changed();
            open();
          }}
          onIssued={(created) => {
            setIssued(created);
            changed();
            open();
          }}
        />
      )}
      {issued !== undefined && <SecretDialog issued={issued} onClose={() => setIssued(undefined)} />}
      <Toast notice={notice} onClose={() => setNotice(undefined)} />
    </>
  );
}

interface ToastProps {
  readonly notice: Notice | undefined;
  readonly onClose: () => void;
}

/** A popover, so that it is above the dialogs too. */
function Toast({ notice, onClose }: ToastProps) {
  const [element, setElement] = useState<HTMLDivElement | null>(null);
  useEffect(() => {
    if (element === null || notice === undefined) return;
    element.showPopover();
    return () => element.isConnected && element.hidePopover();
  }, [element, notice]);
  return (
    <div ref={setElement} popover="manual" class={notice?.isBad ? "toast bad" : "toast"}>
      <span role={notice?.isBad ? "alert" : "status"}>{notice?.text}</span>
      <button type="button" class="icon" aria-label={t("close")} onClick={onClose}>
        <svg viewBox="0 0 16 16" aria-hidden="true">
          <path d="M4 4l8 8M12 4l-8 8" />
        </svg>
      </button>
    </div>
  );
}

setLanguage();
render(<App />, document.getElementById("page") as HTMLElement);
