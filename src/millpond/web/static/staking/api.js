// The pool's JSON API, and the session that a wallet opens by signing (EIP-4361).

import { Plain, same } from "./wallet.js";

let session = null; // {wallet, token, until}: in memory only, gone with the page

/** Call the API; a refusal becomes a Plain error with the API's own sentence. */
export async function call(method, path, { body, token, once, extra = {} } = {}) {
  const headers = { Accept: "application/json", ...extra };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  if (once) headers["Idempotency-Key"] = once;
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
    });
  } catch {
    throw new Plain("The pool does not answer. Check your connection and try again.");
  }
  const text = await answer.text();
  const document = text ? parse(text) : null;
  if (answer.ok) return document;
  if (answer.status === 401 && session && token === session.token) session = null;
  const error = new Plain(sentence(document, answer.status));
  error.status = answer.status;
  error.code = document?.code ?? "";
  error.details = document?.details ?? {};
  throw error;
}

function parse(text) {
  try { return JSON.parse(text); } catch { return null; }
}

function sentence(document, status) {
  const detail = String(document?.detail ?? "").trim();
  if (!detail) return `The pool answered with ${status}. Try again in a moment.`;
  const first = (document.errors ?? []).map((each) => `${each.field ?? each.path ?? ""} ${each.message ?? each.detail ?? ""}`.trim());
  const whole = detail[0].toUpperCase() + detail.slice(1) + (first.length ? `: ${first[0]}` : "");
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** A name for one wish, so that asking twice does it once. */
export function newKey() {
  return crypto.randomUUID ? crypto.randomUUID() : Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(16)).join("-");
}

/** The token of the connected account's session; null if there is none. */
export function tokenOf(wallet) {
  return session && same(session.wallet, wallet.account) && Date.now() < session.until ? session.token : null;
}

/** The same, signing in if need be; `telling` is called before the wallet asks. */
export async function signedIn(wallet, chainId, telling) {
  const token = tokenOf(wallet);
  if (token) return token;
  telling();
  const address = wallet.account;
  const challenge = await call("POST", "/api/v1/auth/challenge", { body: { wallet: address, chain_id: chainId } });
  const signature = await wallet.sign(challenge.message);
  const made = await call("POST", "/api/v1/auth/session", {
    body: { wallet: address, chain_id: chainId, nonce: challenge.nonce, signature },
  });
  session = { wallet: address, token: made.token, until: Date.parse(made.expires_at) - 30000 };
  return session.token;
}
