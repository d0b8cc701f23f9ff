import { createHash, verify } from "node:crypto";
import { readBytes, requireType } from "../http/body.js";
import { fetchRequestId, type RequestHandler } from "../http/handler.js";
import { jsonResponse } from "../http/json-response.js";
import { HttpProblem } from "../http/problem.js";
import { warnOnce } from "../internal/warn.js";
import { createGithubKeys, type FindPublicKey } from "./github-keys.js";
import { readMatches, reportMatches, textOf } from "./matches.js";
import { type LeakReceiverOptions, type LeakReport, prepareReceiver } from "./options.js";
import { isLive } from "./trufflehog.js";

// 10,000 matches with long URLs. GitHub waits 30 seconds for a response.
const LIMITS = { maxBytes: 8 * 1_024 ** 2, timeoutMs: 10_000 };
/** The most bytes of all bodies at a time, because a signature can be checked only after the whole body arrived. */
const MAX_BUFFERED = 64 * 1_024 ** 2;

/**
 * Creates a fetch handler for reports of leaked secrets: GitHub's secret scanning partner program, GitLab's token
 * revocation, and the question of TruffleHog whether a secret is live. All of them can use the same URL, and any path
 * below it. Mount it with `expressHandler`, `koaHandler`, `honoHandler`, `fastifyHandler` or `toNodeListener`.
 *
 * @throws TypeError if an option is unknown, missing or invalid.
 *
 * @example
 * const receiver = createLeakReceiver({ keys, format, onLeak: ({ key, leak }) => mailOwner(key.ownerId, leak.url) });
 * app.use("/leaks", expressHandler(receiver));
 */
export function createLeakReceiver(given: LeakReceiverOptions): RequestHandler {
  const options = prepareReceiver(given);
  const { github, gitlab, trufflehog, onError } = options;
  const findPublicKey = github && createGithubKeys(github.keysUrl, github.token);
  const warn = warnOnce("KEYBEARER_LEAK_RECEIVER_ERROR");

  const report = (error: unknown, requestId: string): void => {
    if (onError === undefined) {
      warn('A report of a leak failed. Pass "onError" to createLeakReceiver to see every error.');
      return;
    }
    try {
      Promise.resolve(onError(error, { requestId })).catch(() => {});
    } catch {
      // An exception of onError must not change the response.
    }
  };

  const notify = (requestId: string) => async (leak: LeakReport) => {
    try {
      await options.onLeak?.(leak);
    } catch (error) {
      report(error, requestId);
    }
  };

  let buffered = 0;
  const serveBody = async (
    request: Request,
    respond: (body: Uint8Array) => Promise<Response>,
  ): Promise<Response> => {
    let reserved = 0;
    const reserve = (bytes: number): void => {
      if (buffered + bytes > MAX_BUFFERED) throw unavailable();
      reserved += bytes;
      buffered += bytes;
    };
    requireType(request, "application/json");
    try {
      return await respond(await readBytes(request, { ...LIMITS, reserve }));
    } finally {
      buffered -= reserved;
    }
  };

  const serve = async (request: Request, requestId: string): Promise<Response> => {
    const { headers } = request;
    const { pathname } = new URL(request.url);
    if (gitlab !== undefined && /\/v1\/(?:revocable_token_types|revoke_tokens)$/.test(pathname)) {
      if (!gitlab.isCredential(headers.get("authorization"))) throw unauthorized();
      if (pathname.endsWith("/revocable_token_types")) {
        requireMethod(request, "GET", "HEAD");
        return jsonResponse(request, requestId, 200, { types: gitlab.types });
      }
      return serveGitlab(request, requestId, gitlab.types);
    }
    requireMethod(request, "POST");
    if (findPublicKey !== undefined && isFromGithub(headers)) {
      return serveGithub(request, requestId, findPublicKey);
    }
    if (gitlab !== undefined && headers.has("x-gitlab-token")) {
      if (!gitlab.isCredential(headers.get("x-gitlab-token"))) throw unauthorized();
      return serveGitlab(request, requestId, gitlab.types);
    }
    if (!trufflehog?.isCredential(headers.get("authorization"))) throw unauthorized();
    requireType(request, "application/json");
    if (await isLive(options, await readBytes(request))) {
      return jsonResponse(request, requestId, 200, { live: true });
    }
    throw new HttpProblem(403, "not_live", "The secret is not live.");
  };

  /** https://docs.github.com/code-security/secret-scanning/secret-scanning-partner-program */
  const serveGithub = async (
    request: Request,
    requestId: string,
    findKey: FindPublicKey,
  ): Promise<Response> => {
    const publicKey = await findKey(request.headers.get(IDENTIFIER) ?? "");
    const signature = readSignature(request.headers.get(SIGNATURE));
    if (publicKey === undefined || signature === undefined) throw badSignature();
    return serveBody(request, async (body) => {
      if (!verify("sha256", body, publicKey, signature)) throw badSignature();
      const matches = readMatches(body, (match) => ({
        source: "github",
        type: textOf(match, "source"),
        url: textOf(match, "url"),
      }));
      const keys = await reportMatches(options, matches, notify(requestId));
      const feedback = matches.map(({ token, type }, index) => ({
        token_hash: createHash("sha256").update(token).digest("hex"),
        token_type: type,
        label: keys[index] === undefined ? "false_positive" : "true_positive",
      }));
      return jsonResponse(request, requestId, 200, feedback);
    });
  };

  /** https://docs.gitlab.com/development/sec/token_revocation_api */
  const serveGitlab = (request: Request, requestId: string, types: readonly string[]): Promise<Response> => {
    requireMethod(request, "POST");
    return serveBody(request, async (body) => {
      const matches = readMatches(body, (match) => ({
        source: "gitlab",
        type: null,
        url: textOf(match, "location", "url"),
      }));
      if (matches.some(({ type }) => !types.includes(type))) {
        throw new HttpProblem(400, "unknown_token_type", "A type of the tokens is not supported.");
      }
      await reportMatches(options, matches, notify(requestId));
      const headers = { "Cache-Control": "no-store", "X-Request-Id": requestId };
      return new Response(null, { status: 204, headers });
    });
  };

  return async (request, connection) => {
    const requestId = fetchRequestId(request, connection);
    try {
      return await serve(request, requestId);
    } catch (error) {
      if (!(error instanceof HttpProblem)) report(error, requestId);
      const problem = error instanceof HttpProblem ? error : unavailable();
      const { status, code, message, headers, details } = problem;
      return jsonResponse(request, requestId, status, { message, code, requestId, ...details }, headers);
    }
  };
}

const IDENTIFIER = "github-public-key-identifier";
const SIGNATURE = "github-public-key-signature";

function isFromGithub(headers: Headers): boolean {
  return headers.has(IDENTIFIER) || headers.has(SIGNATURE);
}

/** Decodes base64; returns `undefined` for anything else, such as two signatures. */
function readSignature(header: string | null): Uint8Array | undefined {
  return header !== null && /^[A-Za-z0-9+/]{8,200}={0,2}$/.test(header)
    ? Buffer.from(header, "base64")
    : undefined;
}

function requireMethod({ method }: Request, ...allowed: readonly string[]): void {
  if (allowed.includes(method)) return;
  const allow = allowed.join(", ");
  throw new HttpProblem(405, "method_not_allowed", `This resource allows ${allow}.`, {
    headers: { Allow: allow },
  });
}

function unauthorized(): HttpProblem {
  return new HttpProblem(401, "invalid_credential", "The request has no valid signature or credential.", {
    headers: { "WWW-Authenticate": 'Bearer realm="leaks"' },
  });
}

function badSignature(): HttpProblem {
  return new HttpProblem(401, "invalid_signature", "The signature of the body is not valid.");
}

function unavailable(): HttpProblem {
  return new HttpProblem(
    503,
    "unavailable",
    "The report cannot be processed right now. Send it again later.",
    {
      headers: { "Retry-After": "5" },
    },
  );
}
