import DefaultTheme from "vitepress/theme";
import { h } from "vue";
import "./style.css";

const REQUEST = `GET /vehicles HTTP/1.1
Authorization: Bearer ezt_live_4fDq…`;

const DENIAL = `HTTP/1.1 403 Forbidden
WWW-Authenticate: Bearer realm="api",
  error="insufficient_scope", scope="vehicles:read"

{
  "code": "insufficient_scope",
  "requiredScopes": ["vehicles:read"],
  "grantedScopes": ["drivers:read"],
  …
}`;

/** A request and its denial, beside the title of the landing page. */
const Exchange = () =>
  h("div", { class: "exchange" }, [
    h("pre", { class: "request" }, REQUEST),
    h("pre", { class: "response" }, DENIAL),
  ]);

export default {
  extends: DefaultTheme,
  Layout: () => h(DefaultTheme.Layout, null, { "home-hero-image": Exchange }),
};
