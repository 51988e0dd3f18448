// One gateway, two kinds of connections: what one says to all, the other hears.

import { same } from "./checks.mjs";
import { Socket } from "./ws.mjs";

export async function broadcasts(checks, url, pipe) {
  const socket = await Socket.open(url);
  const atPipe = () => new Promise((resolve) => {
    const listening = pipe.onNotification("message.received", (params) => {
      listening.dispose();
      resolve(params);
    });
  });
  const atSocket = () => socket.next((message) => message.method === "message.received");

  await checks.check("broadcast: from a WebSocket to a pipe, and to itself", async () => {
    const heard = atPipe();
    const { result } = await socket.call("message.broadcast", { data: { hello: "pipe" } }, "b1");
    const [there, here] = [await heard, await atSocket()];
    return same([result, there.data, here.params], [{ delivered: 2 }, { hello: "pipe" }, there]);
  });
  await checks.check("broadcast: from a pipe to WebSockets alone", async () => {
    const delivered = await pipe.sendRequest("message.broadcast", { data: [1, null], kinds: ["websocket"] });
    return same([delivered, (await atSocket()).params.data], [{ delivered: 1 }, [1, null]]);
  });
  await checks.check("send: from a WebSocket to one pipe", async () => {
    const { connection_id: id, kind } = await pipe.sendRequest("connection.info");
    const heard = atPipe();
    await socket.call("message.send", { to: { connection: id }, data: "psst" }, "s1");
    return same([kind, (await heard).data], ["cli", "psst"]);
  });
  await socket.close();
}
