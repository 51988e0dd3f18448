// The library jayson over HTTP.
import jayson from 'jayson'
import { announce } from './announce.mjs'

const server = new jayson.Server({ echo: ([message], callback) => callback(null, message) }).http()
server.keepAliveTimeout = 75000
announce(server)
