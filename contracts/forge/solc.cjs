#!/usr/bin/env node
// A `solc` for forge: the compiler of the npm package, behind the few options that forge uses.
// `--version` tells the version; `--standard-json` reads a job and writes its answer.
const solc = require("solc");

if (process.argv.includes("--version")) {
  console.log("solc, the solidity compiler commandline interface");
  console.log(`Version: ${solc.version().replace(".Emscripten.clang", ".Linux.g++")}`);
} else if (process.argv.includes("--standard-json")) {
  const job = require("fs").readFileSync(0, "utf8");
  process.stdout.write(solc.compile(job));
} else {
  console.error(`not here: ${process.argv.slice(2).join(" ")}`);
  process.exit(1);
}
