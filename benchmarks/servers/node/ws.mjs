// JSON-RPC over the library ws, without compression.
import http from 'node:http'
import { WebSocketServer } from 'ws'
import { announce } from './announce.mjs'

const server = http.createServer()
const sockets = new WebSocketServer({ server, path: '/ws', perMessageDeflate: false })

const methods = {
  echo: (message) => message,
  spread: (text) => {
    const data = Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'tick', params: [text] }))
    for (const socket of sockets.clients) socket.send(data, { binary: false })
    return sockets.clients.size
  },
}

sockets.on('connection', (socket) => {
  socket.on('error', () => {})
  socket.on('message', (data) => {
    const { method, params, id } = JSON.parse(data.toString())
    socket.send(JSON.stringify({ jsonrpc: '2.0', result: methods[method](...params), id }))
  })
})
announce(server)
