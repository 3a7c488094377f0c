// Hardhat's node as a second opinion in the tests: nothing is compiled here.
//
// Hardhat has no reorganisation of its own, so one is added as `dev_reorg`:
// before every call that may make a block a snapshot is taken, and a
// reorganisation goes back to one and mines other blocks instead.
const { subtask } = require("hardhat/config");
const { TASK_NODE_GET_PROVIDER } = require("hardhat/builtin-tasks/task-names");

const MAX_MARKS = 256; // how deep a reorganisation may go
const MAX_RAWS = 20000; // signed transactions remembered, to send them again
const MAKES_BLOCKS = new Set(["eth_sendRawTransaction", "evm_mine", "hardhat_mine"]);

class Reorganiser {
  constructor(provider) {
    this.provider = provider;
    this.marks = []; // {number, id}: snapshots by ascending block number
    this.raws = new Map();
    this.automine = true;
    this.seed = 0n;
    this.last = Promise.resolve();
  }

  ask(method, ...params) {
    return this.provider.request({ method, params });
  }

  // One call at a time: a snapshot belongs to the block it was taken at.
  request(call) {
    const answer = this.last.then(() => this.perform(call));
    this.last = answer.catch(() => undefined);
    return answer;
  }

  async perform({ method, params }) {
    if (method === "dev_reorg") return this.reorg(...params);
    if (method === "dev_rawTransaction") return this.raws.get(params[0]) ?? null;
    if (MAKES_BLOCKS.has(method)) await this.mark();
    if (method === "hardhat_mine") return this.mine(Number(params[0] ?? 1));
    const answer = await this.ask(method, ...(params ?? []));
    if (method === "eth_sendRawTransaction") this.remember(answer, params[0]);
    if (method === "evm_setAutomine") this.automine = params[0];
    if (method === "evm_revert") this.marks = [];
    return answer;
  }

  async head() {
    return Number(await this.ask("eth_blockNumber"));
  }

  async mark() {
    const number = await this.head();
    if (this.marks.at(-1)?.number === number) return;
    this.marks.push({ number, id: await this.ask("evm_snapshot") });
    if (this.marks.length > MAX_MARKS) this.marks.shift();
  }

  remember(hash, raw) {
    this.raws.set(hash, raw);
    if (this.raws.size > MAX_RAWS) this.raws.delete(this.raws.keys().next().value);
  }

  async mine(count) {
    for (let made = 0; made < count; made += 1) {
      await this.mark();
      await this.ask("evm_mine");
    }
    return true;
  }

  async drop(transactions) {
    for (const { hash } of transactions) await this.ask("hardhat_dropTransaction", hash);
  }

  // The last `depth` blocks become as many empty ones. Their transactions wait
  // again (keep) or are forgotten; what waited before waits still.
  async reorg(depth, keep) {
    const head = await this.head();
    const mark = this.marks.find(({ number }) => number === head - depth);
    if (depth < 1 || mark === undefined) throw new Error(`no snapshot ${depth} blocks back`);
    const waiting = (await this.ask("eth_pendingTransactions")).map(({ hash }) => hash);
    let removed = [];
    for (let number = mark.number + 1; number <= head; number += 1) {
      const block = await this.ask("eth_getBlockByNumber", `0x${number.toString(16)}`, false);
      removed.push(...block.transactions);
    }
    await this.ask("evm_revert", mark.id);
    this.marks = this.marks.filter(({ number }) => number < mark.number);
    await this.drop(await this.ask("eth_pendingTransactions"));
    this.seed += 1n; // other blocks than before, even in the same second
    await this.ask("hardhat_setPrevRandao", `0x${this.seed.toString(16).padStart(64, "0")}`);
    await this.mine(depth);
    await this.ask("evm_setAutomine", false);
    if (!keep) removed = [];
    for (const hash of [...removed, ...waiting]) {
      await this.ask("eth_sendRawTransaction", this.raws.get(hash));
    }
    await this.ask("evm_setAutomine", this.automine);
    if (this.automine && removed.length > 0) await this.mine(1);
    return true;
  }
}

subtask(TASK_NODE_GET_PROVIDER).setAction(async (_, __, runSuper) => {
  const provider = await runSuper();
  const reorganiser = new Reorganiser(provider);
  return new Proxy(provider, {
    get(target, name) {
      if (name === "request") return (call) => reorganiser.request(call);
      const found = Reflect.get(target, name, target);
      return typeof found === "function" ? found.bind(target) : found;
    },
  });
});

module.exports = {
  solidity: "0.8.37",
  networks: {
    hardhat: {
      chainId: 31337,
      hardfork: "prague",
      blockGasLimit: 30000000,
      // A transaction that fails is mined and answered with its hash, as in real nodes.
      throwOnTransactionFailures: false,
      loggingEnabled: false,
    },
  },
};
