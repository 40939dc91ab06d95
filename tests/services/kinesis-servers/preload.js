// Loaded into a server before its own code: it listens on 127.0.0.1 whatever it asks for, and says on its log which protocol
// each TLS connection agreed on. kinesis-local has no option for either.
'use strict'
const net = require('net')
const tls = require('tls')

const LOOPBACK = '127.0.0.1'
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (...asked) {
  if (asked[0] !== null && typeof asked[0] === 'object') return listen.call(this, { ...asked[0], host: LOOPBACK }, ...asked.slice(1))
  const rest = asked.slice(1).filter((argument) => typeof argument !== 'string')
  return listen.call(this, asked[0], LOOPBACK, ...rest)
}

const emit = tls.TLSSocket.prototype.emit
tls.TLSSocket.prototype.emit = function (event, ...details) {
  if (event === 'secure') console.log(`a TLS connection speaks ${this.alpnProtocol || 'no named protocol'}`)
  return emit.call(this, event, ...details)
}
