// Headless Chromium, as a client only. It loads page.js, which holds the conversations, and sends back how they went.
'use strict'
const { execFileSync, spawn } = require('child_process')
const fs = require('fs')
const http = require('http')
const os = require('os')
const path = require('path')

const [role, mode, url, first, count] = process.argv.slice(2)
if (role !== 'client') throw new Error('Chromium is a client only')

const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'postern-interop-'))
const page = `<!doctype html><script src="/script.js"></script><script src="/page.js"></script>
<script>play(${JSON.stringify(mode)}, ${JSON.stringify(url)}, ${Number(first)}, ${Number(count)})</script>`
let browser
let told = false

const server = http.createServer((request, reply) => {
  if (request.method === 'POST') {
    let text = ''
    request.on('data', data => { text += data })
    request.on('end', () => {
      reply.end()
      if (request.url === '/differs') return process.stderr.write(text)
      const version = execFileSync('chromium', ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString().split(' ')[1]
      console.log(`${version}\t${text}`)
      told = true
      browser.kill('SIGKILL')
    })
  } else if (request.url === '/') {
    reply.setHeader('Content-Type', 'text/html').end(page)
  } else {
    const name = path.basename(request.url)
    if (!['script.js', 'page.js'].includes(name)) return reply.writeHead(404).end()
    reply.setHeader('Content-Type', 'text/javascript; charset=utf-8').end(fs.readFileSync(path.join(__dirname, name)))
  }
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

server.listen(0, '127.0.0.1', () => {
  browser = spawn('chromium', [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--disable-default-apps', '--no-proxy-server',
    '--remote-debugging-port=0', `--user-data-dir=${profile}`, `http://127.0.0.1:${server.address().port}/`
  ], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  browser.stderr.on('data', data => { said += data })
  browser.on('error', problem => { said = `${problem.message}: install the package chromium` })
  browser.on('close', () => {
    if (!told) console.error(said)
    removeProfile(50)
    process.exit(told ? 0 : 1)
  })
})
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => browser?.kill('SIGKILL'))
