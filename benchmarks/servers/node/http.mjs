// JSON-RPC as it is written with node's own HTTP server.
import http from 'node:http'
import { announce } from './announce.mjs'

const methods = { echo: (message) => message }

const server = http.createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const { method, params, id } = JSON.parse(Buffer.concat(chunks).toString())
    const reply = Buffer.from(JSON.stringify({ jsonrpc: '2.0', result: methods[method](...params), id }))
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': reply.length })
    response.end(reply)
  })
})
server.keepAliveTimeout = 75000
announce(server)
