// Starts the server, lets every client check what it can do, and prints one line a check.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { broadcasts } from "./broadcasts.mjs";
import { Checks } from "./checks.mjs";
import { jaysonChecks } from "./jayson.mjs";
import { rpcWebsocketsChecks } from "./rpc_websockets.mjs";
import { openPipe, vscodeChecks } from "./vscode_jsonrpc.mjs";
import { wsChecks } from "./ws.mjs";

const server = spawn(process.argv[2], ["server.py"], { stdio: ["pipe", "pipe", "pipe"] });
process.on("exit", () => server.kill("SIGKILL"));
const ended = new Promise((resolve) => server.on("exit", (code, signal) => resolve(code ?? signal)));
const said = [];
const url = await new Promise((resolve, reject) => {
  createInterface(server.stderr).on("line", (line) => {
    said.push(line);
    if (line.startsWith("listening on ")) resolve(line.slice("listening on ".length));
  });
  ended.then(() => reject(new Error(`the server ended before it listened:\n${said.join("\n")}`)));
});

const checks = new Checks();
const pipe = openPipe(server.stdout, server.stdin);
await vscodeChecks(checks, pipe);
await wsChecks(checks, url);
await rpcWebsocketsChecks(checks, url);
await jaysonChecks(checks, url);
await broadcasts(checks, url, pipe);
await checks.check("server: SIGTERM drains, and it leaves with 0", async () => {
  server.kill("SIGTERM");
  return (await ended) === 0;
});
if (checks.failed) console.log(`\nthe server said:\n${said.join("\n")}`);
process.exit(checks.report());
