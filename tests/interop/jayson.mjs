// jayson: a JSON-RPC client over HTTP. HTTP carries one answer and nothing else: no progress, no request from the server.

import { promisify } from "node:util";
import jayson from "jayson";
import { same } from "./checks.mjs";

export async function jaysonChecks(checks, url) {
  const client = jayson.Client.http(`${url}/rpc`);
  const request = promisify(client.request.bind(client));
  await checks.check("jayson: call by position", async () => same((await request("subtract", [42, 23])).result, 19));
  await checks.check("jayson: call by name", async () =>
    same((await request("subtract", { subtrahend: 23, minuend: 42 })).result, 19));
  await checks.check("jayson: error", async () =>
    same((await request("divide", [1, 0])).error, { code: 1, message: "Division by zero", data: { dividend: 1 } }));
  await checks.check("jayson: notification is answered by nothing", async () =>
    same(await request("memory.store", [8], null), undefined));
  await checks.check("jayson: batch", async () => {
    const batch = [client.request("add", [1, 2], "a"), client.request("memory.recall", [], "b")];
    return same((await request(batch)).map(({ id, result }) => [id, result]), [["a", 3], ["b", [8]]]);
  });
}
