// vscode-jsonrpc: the client of the Language Server Protocol, with Content-Length framing over the server's pipes.

import {
  CancellationTokenSource,
  ProgressType,
  StreamMessageReader,
  StreamMessageWriter,
  createMessageConnection,
} from "vscode-jsonrpc/node.js";
import { rejection, same } from "./checks.mjs";

const TOKEN = "vscode";

// It has no way to say `meta`: here each request gets its token on the way out.
class MarkingWriter extends StreamMessageWriter {
  write(message) {
    return super.write(message.id === undefined ? message : { ...message, meta: { progress_token: TOKEN } });
  }
}

export function openPipe(readable, writable) {
  const connection = createMessageConnection(new StreamMessageReader(readable), new MarkingWriter(writable));
  connection.onRequest("number", ({ place }) => place * 10);
  connection.listen();
  return connection;
}

export async function vscodeChecks(checks, pipe) {
  await checks.check("vscode-jsonrpc: call by position", async () =>
    same(await pipe.sendRequest("subtract", 42, 23), 19));
  await checks.check("vscode-jsonrpc: call by name", async () =>
    same(await pipe.sendRequest("subtract", { minuend: 42, subtrahend: 23 }), 19));
  await checks.check("vscode-jsonrpc: text beyond ASCII is framed by its bytes", async () => {
    const error = await rejection(pipe.sendRequest("divide", { dividend: "zwölf €", divisor: 0 }));
    return same([error.code, error.data.parameter], [-32602, "dividend"]);
  });
  await checks.check("vscode-jsonrpc: error", async () => {
    const { code, message, data } = await rejection(pipe.sendRequest("divide", 1, 0));
    return same({ code, message, data }, { code: 1, message: "Division by zero", data: { dividend: 1 } });
  });
  await checks.check("vscode-jsonrpc: notification", async () => {
    await pipe.sendNotification("memory.store", { number: 7 });
    return same(await pipe.sendRequest("memory.recall"), [7]);
  });
  await checks.check("vscode-jsonrpc: progress", async () => {
    const told = [];
    const listening = pipe.onProgress(new ProgressType(), TOKEN, ({ fraction }) => told.push(fraction));
    const result = await pipe.sendRequest("sum.slowly", { terms: [1, 2], pause: 0.01 });
    listening.dispose();
    return same([told, result], [[0.5, 1], 3]);
  });
  await checks.check("vscode-jsonrpc: cancel", async () => {
    const source = new CancellationTokenSource();
    const answer = rejection(pipe.sendRequest("sum.slowly", { terms: [1, 2], pause: 5 }, source.token));
    source.cancel();
    return same((await answer).code, -32800);
  });
  await checks.check("vscode-jsonrpc: a request from the server", async () =>
    same(await pipe.sendRequest("sum.ask", { count: 3 }), 60));
}
