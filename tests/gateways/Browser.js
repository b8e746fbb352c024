// Browser.js URL: headless Chromium on the page of echo, steered over the DevTools protocol. Types a message, presses
// Send, reads the echo; then sees that a page of another origin is refused. Ends with 0 when all of that is so.
'use strict'
const assert = require('assert')
const { spawn } = require('child_process')
const fs = require('fs')
const http = require('http')
const os = require('os')
const path = require('path')
const WebSocket = require('ws')

const url = process.argv[2]
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'postern-browser-'))
const browser = spawn('chromium', [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--disable-default-apps', '--no-proxy-server',
  `--user-data-dir=${profile}`, '--remote-debugging-port=0', 'about:blank'
], { stdio: ['ignore', 'ignore', 'pipe'] })

const devtools = () => new Promise((resolve, reject) => {
  let said = ''
  browser.stderr.on('data', data => {
    said += data
    const found = /DevTools listening on (ws:\S+)/.exec(said)
    if (found) resolve(found[1])
  })
  browser.on('error', problem => reject(new Error(`${problem.message}: install the package chromium`)))
  browser.on('exit', code => reject(new Error(`chromium ended with ${code}: ${said}`)))
})

class Page {
  static async open(port, address) {
    const target = await new Promise((resolve, reject) => {
      http.request({ port, host: '127.0.0.1', method: 'PUT', path: `/json/new?${encodeURIComponent(address)}` }, reply => {
        let text = ''
        reply.on('data', data => { text += data })
        reply.on('end', () => resolve(JSON.parse(text)))
      }).on('error', reject).end()
    })
    const page = new Page()
    page.socket = new WebSocket(target.webSocketDebuggerUrl, { perMessageDeflate: false })
    page.waiting = new Map()
    page.last = 0
    page.socket.on('message', data => {
      const { id, result, error } = JSON.parse(data)
      const waiter = page.waiting.get(id)
      if (!waiter) return
      page.waiting.delete(id)
      error ? waiter.reject(new Error(error.message)) : waiter.resolve(result)
    })
    await new Promise((resolve, reject) => page.socket.once('open', resolve).once('error', reject))
    return page
  }
  call(method, params = {}) {
    const id = ++this.last
    this.socket.send(JSON.stringify({ id, method, params }))
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }))
  }
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`)
    return result.value
  }
  // The page tells when it is so.
  until(condition) {
    return this.evaluate(`new Promise(resolve => {
      const look = () => (${condition}) ? resolve(true) : requestAnimationFrame(look)
      document.readyState === 'loading' ? addEventListener('DOMContentLoaded', look) : look()
    })`)
  }
  async press(x, y) {
    for (const type of ['mousePressed', 'mouseReleased'])
      await this.call('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 })
  }
  async middleOf(selector) {
    return this.evaluate(`(() => { const r = document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect()
      return [r.x + r.width / 2, r.y + r.height / 2] })()`)
  }
}

async function loaded(page, address) {
  await page.until(`location.href === ${JSON.stringify(address)} && document.readyState === 'complete'`)
    .catch(() => loaded(page, address))  // the first document went away meanwhile
}

async function main() {
  const port = new URL(await devtools()).port
  const page = await Page.open(port, url)
  await loaded(page, url)
  await page.until(`document.getElementById('state').textContent === 'connected'`)
  for (const message of ['Hello from a browser', 'Grüße, 世界 😀']) {
    await page.press(...await page.middleOf('#text'))
    await page.call('Input.insertText', { text: message })
    assert.strictEqual(await page.evaluate(`document.getElementById('text').value`), message)
    await page.press(...await page.middleOf('#form button'))
    await page.until(`document.querySelector('#log li')?.textContent === ${JSON.stringify(message)}`)
  }
  assert.strictEqual(await page.evaluate(`document.querySelectorAll('#log li').length`), 2)
  const assets = await page.evaluate(`performance.getEntriesByType('resource').map(entry => entry.name)
    .filter(name => !name.endsWith('/favicon.ico'))`)
  assert.deepStrictEqual(assets.filter(name => !name.startsWith('ws:')), [])

  // A page that came from somewhere else.
  const stranger = http.createServer((request, reply) => reply.setHeader('Content-Type', 'text/html').end('<title>stranger</title>'))
  await new Promise(resolve => stranger.listen(0, '127.0.0.1', resolve))
  const elsewhere = `http://127.0.0.1:${stranger.address().port}/`
  const other = await Page.open(port, elsewhere)
  await loaded(other, elsewhere)
  const echo = new URL('echo', url.replace(/^http/, 'ws')).href
  const outcome = `new Promise(resolve => {
    const socket = new WebSocket(${JSON.stringify(echo)})
    socket.onopen = () => resolve('open')
    socket.onclose = event => resolve('closed ' + event.code)
  })`
  assert.strictEqual(await other.evaluate(outcome), 'closed 1006')
  assert.strictEqual(await page.evaluate(outcome), 'open')
}

main().then(() => 0, problem => {
  console.error(problem)
  return 1
}).then(code => {
  browser.removeAllListeners('exit')
  browser.once('exit', () => {
    removeProfile(50)
    process.exit(code)
  })
  if (browser.exitCode !== null || !browser.pid) process.exit(code)
  browser.kill('SIGKILL')
})

// The browser's helpers end a little after it and write until then.
function removeProfile(tries) {
  try {
    fs.rmSync(profile, { recursive: true, force: true })
  } catch (error) {
    if (tries === 0) throw error
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
    removeProfile(tries - 1)
  }
}
