// npm's ws. README.md tells how it is called.
'use strict'
const { createServer } = require('http')
const WebSocket = require('ws')
require('./script.js')

const version = require('ws/package.json').version
const patience = 60000
const atOnce = 4
const maxPayload = 20 * 1024 * 1024
const offers = {
  off: false,
  on: { threshold: 0 },
  takeover: { threshold: 0 },
  window: { threshold: 0, serverMaxWindowBits: 10, clientMaxWindowBits: 11 }
}

function fragmentsOf(data, cuts) {
  const ends = [...cuts, data.length]
  return ends.map((end, i) => data.subarray(i === 0 ? 0 : ends[i - 1], end))
}

function sendFragments(socket, pieces, binary) {
  pieces.forEach((piece, i) => socket.send(piece, { binary, fin: i + 1 === pieces.length }))
}

function serve() {
  const http = createServer()
  const server = new WebSocket.Server({ server: http, maxPayload, perMessageDeflate: { threshold: 0 } })
  const chance = new interop.Chance(7)
  server.on('connection', socket => {
    socket.on('error', problem => console.error(problem))
    socket.on('message', (data, binary) => {
      const cuts = Array.from({ length: chance.below(3) === 0 ? chance.below(9) : 0 }, () => chance.below(data.length + 1))
      sendFragments(socket, fragmentsOf(data, cuts.sort((a, b) => a - b)), binary)
    })
  })
  http.listen(0, '127.0.0.1', () => console.log(`${http.address().port}\t${version}`))
}

// Rejects when the socket ends or patience does.
function receive(socket) {
  return new Promise((resolve, reject) => {
    if (socket.heard.length) return resolve(socket.heard.shift())
    const timer = setTimeout(() => reject(new Error('no answer')), patience)
    socket.wake = event => {
      clearTimeout(timer)
      socket.wake = undefined
      event ? reject(event) : resolve(socket.heard.shift())
    }
    if (socket.over) socket.wake(socket.over)
  })
}

async function open(url, mode) {
  const socket = new WebSocket(url, { maxPayload, perMessageDeflate: offers[mode] })
  socket.heard = []
  socket.pongs = []
  socket.on('message', (data, binary) => {
    socket.heard.push({ data, binary })
    socket.wake?.()
  })
  socket.on('pong', data => socket.pongs.push(data))
  socket.end = new Promise(resolve => socket.on('close', (code, reason) => {
    socket.over = new Error(`closed with ${code} ${reason}`)
    socket.wake?.(socket.over)
    resolve(code)
  }))
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  socket.on('error', problem => console.error(problem))
  return socket
}

// Of several pings only some may be answered (RFC 6455 §5.5.3), in their order, but the last one is.
function answered(pings, pongs) {
  let next = 0
  for (const { data } of pings) if (next < pongs.length && pongs[next].equals(data)) ++next
  return next === pongs.length && (pings.length === 0 || (next > 0 && pongs[next - 1].equals(pings.at(-1).data)))
}

async function converse(url, mode, number, told) {
  const { steps, pipelined, code, reason } = interop.makeScript(number)
  const socket = await open(url, mode)
  const differ = what => {
    ++told.differences
    console.error(`${mode} ${number}: ${what}`)
  }
  const say = ({ kind, data, cuts }) => {
    if (kind === 'ping') socket.ping(data)
    else sendFragments(socket, fragmentsOf(Buffer.from(data.buffer), cuts), kind === 'binary')
  }
  const hear = async ({ kind, data }) => {
    if (kind === 'ping') return
    const got = await receive(socket)
    if (got.binary !== (kind === 'binary') || !got.data.equals(data)) differ(`${data.length} bytes of ${kind} came back as ${got.data.length}`)
    ++told.messages
  }
  try {
    told.extensions.add(socket.extensions || '-')
    if (pipelined) steps.forEach(say)
    for (const step of steps) {
      if (!pipelined) say(step)
      await hear(step)
    }
    if (!answered(steps.filter(step => step.kind === 'ping'), socket.pongs)) differ('other pongs than pings')
    if (code) socket.close(code, Buffer.from(reason))
    else socket.close()
    const got = await socket.end
    if (got !== (code || 1005)) differ(`closed with ${code || 1005}, heard ${got}`)
  } catch (problem) {
    differ(problem.message)
    socket.terminate()
  }
  ++told.conversations
}

async function play(mode, url, first, count) {
  const told = { extensions: new Set(), conversations: 0, messages: 0, differences: 0 }
  let next = first
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < first + count) await converse(url, mode, next++, told)
  }))
  console.log([version, [...told.extensions].join(' | '), told.conversations, told.messages, told.differences].join('\t'))
}

const [role, mode, url, first, count] = process.argv.slice(2)
if (role === 'server') serve()
else play(mode, url, Number(first), Number(count))
