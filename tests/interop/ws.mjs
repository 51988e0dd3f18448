// npm's ws: a plain WebSocket, so that every message is ours to write.

import WebSocket from "ws";
import { same } from "./checks.mjs";

// A WebSocket that keeps what it receives until somebody waits for it.
export class Socket {
  #kept = [];
  #waiting = [];

  static async open(url, options) {
    const socket = new Socket();
    socket.ws = new WebSocket(`${url.replace("http", "ws")}/ws`, ["posthouse.v1.json"], options);
    socket.ws.on("message", (data, binary) => {
      socket.#kept.push(binary ? "binary" : JSON.parse(data.toString()));
      socket.#deliver();
    });
    await new Promise((resolve, reject) => socket.ws.on("open", resolve).on("error", reject));
    return socket;
  }

  send(message) {
    this.ws.send(JSON.stringify(message));
  }

  // The first message, kept or to come, that `wanted` says yes to.
  next(wanted = () => true) {
    return new Promise((resolve) => {
      this.#waiting.push({ wanted, resolve });
      this.#deliver();
    });
  }

  call(method, params, id, meta) {
    this.send({ jsonrpc: "2.0", method, params, id, meta });
    return this.next((message) => message.id === id && !message.method);
  }

  async close() {
    const closed = new Promise((resolve) => this.ws.on("close", resolve));
    this.ws.close(1000);
    return await closed;
  }

  #deliver() {
    for (const waiting of [...this.#waiting]) {
      const at = this.#kept.findIndex(waiting.wanted);
      if (at < 0) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.resolve(this.#kept.splice(at, 1)[0]);
    }
  }
}

export async function wsChecks(checks, url) {
  const socket = await Socket.open(url);
  await checks.check("ws: the subprotocol is selected, compression agreed", async () =>
    same([socket.ws.protocol, socket.ws.extensions.includes("permessage-deflate")], ["posthouse.v1.json", true]));
  await checks.check("ws: call", async () =>
    same(await socket.call("subtract", [42, 23], 1), { jsonrpc: "2.0", result: 19, id: 1 }));
  await checks.check("ws: a large call and answer, compressed", async () => {
    const numbers = Array.from({ length: 20_000 }, (_, at) => at);
    return same((await socket.call("add", numbers, "large")).result, 199_990_000);
  });
  await checks.check("ws: error", async () => {
    const { error } = await socket.call("divide", { dividend: 1, divisor: 0 }, "e");
    return same(error, { code: 1, message: "Division by zero", data: { dividend: 1 } });
  });
  await checks.check("ws: batch", async () => {
    socket.send([
      { jsonrpc: "2.0", method: "add", params: [1, 2], id: "a" },
      { jsonrpc: "2.0", method: "memory.store", params: [5] },
      { jsonrpc: "2.0", method: "nowhere", id: "b" },
      1,
    ]);
    const replies = await socket.next(Array.isArray);
    return same(replies.map((reply) => [reply.id, reply.result ?? reply.error.code]), [
      ["a", 3],
      ["b", -32601],
      [null, -32600],
    ]);
  });
  await checks.check("ws: notification", async () => {
    socket.send({ jsonrpc: "2.0", method: "memory.store", params: { number: 6 } });
    return same((await socket.call("memory.recall", [], "r")).result, [5, 6]);
  });
  await checks.check("ws: progress, in order and before the answer", async () => {
    const answer = socket.call("sum.slowly", { terms: [1, 2], pause: 0.01 }, "p", { progress_token: "t" });
    const told = [await socket.next(isProgress), await socket.next(isProgress)];
    const { result } = await answer;
    return same([told.map(({ params }) => [params.token, params.value.fraction]), result], [
      [["t", 0.5], ["t", 1]],
      3,
    ]);
  });
  await checks.check("ws: cancel", async () => {
    const answer = socket.call("sum.slowly", { terms: [1, 2], pause: 5 }, "c");
    socket.send({ jsonrpc: "2.0", method: "$/cancelRequest", params: { id: "c" } });
    return same((await answer).error.code, -32800);
  });
  await checks.check("ws: a request from the server", async () => {
    const answer = socket.call("sum.ask", { count: 2 }, "q");
    for (const number of [30, 12]) {
      const asked = await socket.next((message) => message.method === "number");
      socket.send({ jsonrpc: "2.0", result: number, id: asked.id });
    }
    return same((await answer).result, 42);
  });
  await checks.check("ws: ping is answered by pong", async () => {
    const pong = new Promise((resolve) => socket.ws.once("pong", (data) => resolve(data.toString())));
    socket.ws.ping("are you there");
    return same(await pong, "are you there");
  });
  await checks.check("ws: a page of another origin is refused", async () => {
    const refused = await Socket.open(url, { origin: "https://elsewhere.example" }).catch((error) => error.message);
    return same(refused, "Unexpected server response: 403");
  });
  await checks.check("ws: close", async () => same(await socket.close(), 1000));
}

function isProgress(message) {
  return message.method === "$/progress";
}
