// A transaction from its hash to its confirmations, asked of the wallet's own node.

import { Plain, plainly, revertReason } from "./wallet.js";

const STEP_MS = 1200;
const PATIENCE_MS = 2 * 3600 * 1000;
const KEPT = "millpond-pending";
const MOST_KEPT = 20;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/**
 * Follow a transaction until it is `confirmations` deep.
 *
 * `tell({state, block, depth})` is called at every change: `waiting`, `mined`, `confirmed`.
 * Throws a Plain error when it was reverted, replaced, or is not seen for two hours.
 */
export async function follow(wallet, entry, confirmations, tell) {
  const until = Date.now() + PATIENCE_MS;
  let told = "";
  const say = (news) => {
    const text = JSON.stringify(news);
    if (text !== told) tell(news);
    told = text;
  };
  while (Date.now() < until) {
    const news = await look(wallet, entry).catch((error) => {
      if (error instanceof Plain) throw error;
      return null; // the node is away for a moment; it is asked again
    });
    if (news) {
      const done = news.depth >= confirmations;
      say({ ...news, state: done ? "confirmed" : news.state });
      if (done) return news;
    }
    await pause(STEP_MS);
  }
  throw new Plain("This transaction was not confirmed in two hours. Look it up in your wallet.");
}

async function look(wallet, entry) {
  const receipt = await wallet.request("eth_getTransactionReceipt", [entry.hash]);
  if (receipt) {
    const block = Number(receipt.blockNumber);
    if (Number(receipt.status) === 0) throw new Plain(await refusal(wallet, entry, receipt));
    const head = Number(await wallet.request("eth_blockNumber"));
    return { state: "mined", block, depth: Math.max(1, head - block + 1) };
  }
  const known = await wallet.request("eth_getTransactionByHash", [entry.hash]);
  if (known) entry.nonce = Number(known.nonce);
  else if (entry.nonce !== undefined) {
    const used = Number(await wallet.request("eth_getTransactionCount", [entry.from, "latest"]));
    const late = await wallet.request("eth_getTransactionReceipt", [entry.hash]);
    if (used > entry.nonce && !late) {
      throw new Plain("Your wallet has replaced this transaction by another one. Look there for what became of it.");
    }
  }
  return { state: "waiting", block: null, depth: 0 };
}

// Asked again at the block that refused it, the contract says why.
async function refusal(wallet, entry, receipt) {
  const call = { from: entry.from, to: entry.to, data: entry.data };
  try {
    await wallet.request("eth_call", [call, receipt.blockNumber]);
  } catch (error) {
    const reason = revertReason(error);
    if (reason) return `It was mined, but the contract refused it: ${reason}. Only gas was spent.`;
    if (!error.message) return plainly(error);
  }
  return "It was mined, but the contract refused it. Only gas was spent.";
}

// ---- what is under way survives a reload of the page -----------------------

function read() {
  try {
    const list = JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
    return Array.isArray(list) ? list : [];
  } catch { return []; }
}
function write(list) {
  try { sessionStorage.setItem(KEPT, JSON.stringify(list.slice(-MOST_KEPT))); } catch { /* for this page only */ }
}
export function keep(entry) {
  write([...read().filter((each) => each.hash !== entry.hash), entry]);
}
export function forget(hash) {
  write(read().filter((each) => each.hash !== hash));
}
export function underWay(pool, account) {
  return read().filter((each) => each.pool === pool && each.from?.toLowerCase() === account?.toLowerCase());
}
