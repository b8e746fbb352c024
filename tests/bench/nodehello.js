// An HTTP hello with node's own server, one process.
'use strict'
const { createServer } = require('http')

const body = 'Hello, world!\n'
const headers = { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': body.length }
const http = createServer((request, response) => response.writeHead(200, headers).end(body))
http.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${http.address().port}`))
