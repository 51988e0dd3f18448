// rpc-websockets: a JSON-RPC client over WebSocket. It has no batches, no cancelling and answers no requests.

import { Client } from "rpc-websockets";
import { rejection, same } from "./checks.mjs";

export async function rpcWebsocketsChecks(checks, url) {
  const client = new Client(`${url.replace("http", "ws")}/ws`, { reconnect: false });
  await new Promise((resolve, reject) => {
    client.on("open", resolve);
    client.on("error", reject);
  });
  await checks.check("rpc-websockets: call by position", async () => same(await client.call("subtract", [42, 23]), 19));
  await checks.check("rpc-websockets: call by name", async () =>
    same(await client.call("subtract", { minuend: 42, subtrahend: 23 }), 19));
  await checks.check("rpc-websockets: error", async () => {
    const error = await rejection(client.call("divide", [1, 0]));
    return same([error.code, error.message, error.data], [1, "Division by zero", { dividend: 1 }]);
  });
  await checks.check("rpc-websockets: notification", async () => {
    await client.notify("memory.store", [9]);
    return same(await client.call("memory.recall", []), [9]);
  });
  await checks.check("rpc-websockets: a notification from the server", async () => {
    const received = new Promise((resolve) => client.once("message.received", resolve));
    await client.call("message.broadcast", { data: "to all", kinds: ["websocket"] });
    return same((await received).data, "to all");
  });
  client.close();
}
