// wsecho.js DEFLATE: an echo with npm's ws, as its documentation has it. Compression without context take-over if DEFLATE is on.
'use strict'
const { createServer } = require('http')
const { WebSocketServer } = require('ws')

const perMessageDeflate = process.argv[2] === 'on' && {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  threshold: 0,
  zlibDeflateOptions: { level: 1, memLevel: 5 }
}
const http = createServer()
new WebSocketServer({ server: http, perMessageDeflate, maxPayload: 2 << 20 })
  .on('connection', socket => socket.on('message', (data, binary) => socket.send(data, { binary })))
http.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${http.address().port}`))
