// The conversations of chromium.js, in its page. Pages can neither ping nor fragment; of codes they may send 1000 and 3000–4999.
'use strict'

const patience = 60000
const atOnce = 4

const tell = (where, text) => fetch(where, { method: 'POST', body: text })

function within(promise) {
  return Promise.race([promise, new Promise((_, reject) => setTimeout(reject, patience, new Error('no answer')))])
}

function same(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

class Talk {
  constructor(url) {
    this.heard = []
    this.socket = new WebSocket(url)
    this.socket.binaryType = 'arraybuffer'
    this.opened = new Promise((resolve, reject) => {
      this.socket.onopen = resolve
      this.socket.onerror = () => reject(new Error('no handshake'))
    })
    this.closed = new Promise(resolve => {
      this.socket.onclose = event => {
        this.wake?.()
        resolve(event)
      }
    })
    this.socket.onmessage = ({ data }) => {
      this.heard.push(data)
      this.wake?.()
    }
  }
  say({ kind, data }) {
    if (kind !== 'ping') this.socket.send(kind === 'text' ? new TextDecoder('utf-8', { ignoreBOM: true }).decode(data) : data)
  }
  async receive() {
    while (!this.heard.length && this.socket.readyState === WebSocket.OPEN) await within(new Promise(resolve => { this.wake = resolve }))
    if (!this.heard.length) throw new Error('closed early')
    return this.heard.shift()
  }
}

async function converse(mode, url, number, told) {
  const { steps, pipelined, code, reason } = interop.makeScript(number)
  const differ = what => {
    ++told.differences
    return tell('/differs', `${mode} ${number}: ${what}\n`)
  }
  try {
    const talk = new Talk(url)
    await within(talk.opened)
    told.extensions.add(talk.socket.extensions || '-')
    if (pipelined) steps.forEach(step => talk.say(step))
    for (const step of steps) {
      if (!pipelined) talk.say(step)
      if (step.kind === 'ping') continue
      const got = await talk.receive()
      const isText = typeof got === 'string'
      const bytes = isText ? new TextEncoder().encode(got) : new Uint8Array(got)
      if (isText !== (step.kind === 'text') || !same(bytes, step.data)) await differ(`${step.data.length} bytes of ${step.kind} came back as ${bytes.length}`)
      ++told.messages
    }
    const said = code === 0 ? 1005 : code < 3000 ? 1000 : code
    if (code) talk.socket.close(said, new TextDecoder().decode(reason))
    else talk.socket.close()
    const end = await within(talk.closed)
    if (end.code !== said || !end.wasClean) await differ(`closed with ${said}, heard ${end.code}`)
  } catch (problem) {
    await differ(problem.message)
  }
  ++told.conversations
}

async function play(mode, url, first, count) {
  const told = { extensions: new Set(), conversations: 0, messages: 0, differences: 0 }
  let next = first
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < first + count) await converse(mode, url, next++, told)
  }))
  await tell('/', [[...told.extensions].join(' | '), told.conversations, told.messages, told.differences].join('\t'))
}
