// WsClient.js URL PROMISE: npm's ws as the client of echo; ends with 0 when the promise is kept.
'use strict'
const assert = require('assert')
const crypto = require('crypto')
const WebSocket = require('ws')

const [url, promise] = process.argv.slice(2)
const limit = { maxPayload: 64 * 1024 * 1024, perMessageDeflate: false }

const once = (socket, event) =>
  new Promise((resolve, reject) => {
    socket.once(event, (...values) => resolve(values))
    if (event !== 'error') socket.once('error', reject)
  })
async function open(protocols = [], options = {}) {
  const socket = new WebSocket(url, protocols, { ...limit, ...options })
  socket.setMaxListeners(0)
  await once(socket, 'open')
  return socket
}
async function closed(socket, code, reason) {
  const end = once(socket, 'close')
  socket.close(code, reason)
  const [gotCode, gotReason] = await end
  return [gotCode, gotReason.toString()]
}
async function echoes(socket, data, binary) {
  const answer = once(socket, 'message')
  socket.send(data, { binary })
  const [got, isBinary] = await answer
  assert.strictEqual(isBinary, binary)
  assert.ok(Buffer.from(data).equals(got), `${data.length} bytes came back as ${got.length}`)
}

const promises = {
  async sizes() {
    const socket = await open()
    for (const size of [0, 1, 125, 126, 127, 65535, 65536, 65537, 262144, 1024 * 1024]) {
      await echoes(socket, crypto.randomBytes(size), true)
      await echoes(socket, 'é'.repeat(size / 2) + 'x'.repeat(size % 2), false)
    }
    assert.strictEqual((await closed(socket, 1000, 'done'))[0], 1000)
  },
  async large() {
    const socket = await open()
    await echoes(socket, crypto.randomBytes(16 * 1024 * 1024), true)
    await closed(socket)
  },
  async tooLarge() {
    const socket = await open()
    const end = once(socket, 'close')
    socket.on('error', () => {})
    socket.send(Buffer.alloc(1024 * 1024 + 1))
    assert.strictEqual((await end)[0], 1009)
  },
  async fragments() {
    const socket = await open()
    const answer = once(socket, 'message')
    socket.send('Gr', { fin: false, binary: false })
    socket.ping('between')
    socket.send(Buffer.from('c3', 'hex'), { fin: false, binary: false })
    socket.send('', { fin: false, binary: false })
    socket.send(Buffer.from('bcc39f65', 'hex'), { fin: true, binary: false })
    const [pong] = await once(socket, 'pong')
    assert.strictEqual(pong.toString(), 'between')
    const [got, isBinary] = await answer
    assert.strictEqual(got.toString(), 'Grüße')
    assert.strictEqual(isBinary, false)
    await closed(socket)
  },
  async pings() {
    const socket = await open()
    for (const payload of ['', 'x', crypto.randomBytes(125)]) {
      const answer = once(socket, 'pong')
      socket.ping(payload)
      assert.ok(Buffer.from(payload).equals((await answer)[0]))
    }
    socket.pong('unasked')
    await echoes(socket, 'still here', false)
    await closed(socket)
  },
  async closeCodes() {
    for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]) {
      const socket = await open()
      assert.strictEqual((await closed(socket, code, `reason ${code} é`))[0], code)
    }
    const plain = await open()
    assert.deepStrictEqual(await closed(plain), [1005, ''])
  },
  async badText() {
    const socket = await open()
    const end = once(socket, 'close')
    socket.send(Buffer.from('c328', 'hex'), { binary: false })
    assert.strictEqual((await end)[0], 1007)
  },
  async noSubprotocol() {
    // ws itself gives up when a server answers an offer with none, which is what RFC 6455 makes of echo, that speaks none.
    const refusal = new WebSocket(url, ['chat', 'superchat'], limit)
    const [problem] = await once(refusal, 'error')
    assert.match(problem.message, /no subprotocol/)
    const socket = await open()
    assert.strictEqual(socket.protocol, '')
    assert.strictEqual(socket.extensions, '')
    await closed(socket)
  },
  async compressionIsDeclined() {
    const socket = await open([], { perMessageDeflate: true })
    assert.strictEqual(socket.extensions, '')
    await echoes(socket, 'x'.repeat(5000), false)
    await closed(socket)
  },
  async origin() {
    const here = new URL(url)
    const own = await open([], { origin: `http://${here.host}` })
    await closed(own)
    for (const origin of ['http://evil.example', `https://${here.host}`, `http://${here.hostname}`, 'null']) {
      const socket = new WebSocket(url, [], { ...limit, origin })
      const [problem] = await once(socket, 'error')
      assert.match(problem.message, /403/, origin)
    }
  },
  async serverStops() {
    const socket = await open()
    await echoes(socket, 'before', false)
    console.log('open')
    const [code] = await once(socket, 'close')
    assert.strictEqual(code, 1001)
  },
  // 200 conversations, at most 20 at a time, told apart by what they say.
  async random() {
    let seed = 20261121
    const below = n => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n
    const script = () => Array.from({ length: 1 + below(12) }, () => ({
      kind: below(5), data: crypto.createHash('sha256').update(String(seed)).digest('hex').repeat(1 + below(60)).slice(below(64)), cut: below(50)
    }))
    async function conversation(steps) {
      const socket = await open()
      const answers = []
      const waiting = []
      socket.on('message', (data, isBinary) => { answers.push([data.toString(), isBinary]); while (waiting.length) waiting.pop()() })
      const expected = []
      for (const { kind, data, cut } of steps) {
        const binary = kind === 1 || kind === 3
        if (kind === 4) { socket.ping(data.slice(0, 125)); continue }
        if (kind >= 2) {
          socket.send(data.slice(0, cut), { fin: false, binary })
          socket.send(data.slice(cut), { fin: true, binary })
        } else {
          socket.send(data, { binary })
        }
        expected.push([data, binary])
      }
      while (answers.length < expected.length) await new Promise(resolve => waiting.push(resolve))
      assert.deepStrictEqual(answers, expected)
      assert.strictEqual((await closed(socket, 1000))[0], 1000)
    }
    const scripts = Array.from({ length: 200 }, script)
    await Promise.all(Array.from({ length: 20 }, async () => {
      while (scripts.length) await conversation(scripts.pop())
    }))
  }
}

promises[promise]().then(() => process.exit(0), problem => {
  console.error(problem)
  process.exit(1)
})
