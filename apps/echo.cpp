// A page at / that talks to the WebSocket at /echo, which only pages of the same host may open. The same in two other
// styles: /events with callbacks, which needs no stack while it is idle, and /stream for messages larger than memory.

#include <postern/postern.h>

using namespace postern;

constexpr std::string_view page = R"(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Postern echo</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
  form { display: flex; gap: .5rem }
  input { flex: 1; font: inherit; padding: .4rem }
  button { font: inherit; padding: .4rem 1rem }
  #log { list-style: none; padding: 0 }
  #log li { border-bottom: 1px solid #ddd; padding: .3rem 0; overflow-wrap: anywhere }
</style>
<h1>Echo</h1>
<p id="state" role="status">connecting …</p>
<form id="form"><input id="text" aria-label="Message" placeholder="Say something" autocomplete="off" autofocus>
<button>Send</button></form>
<ul id="log" aria-live="polite"></ul>
<script>
  const state = document.getElementById('state'), log = document.getElementById('log')
  const socket = new WebSocket(new URL('echo', location.href.replace(/^http/, 'ws').replace(/[^/]*$/, '')))
  socket.onopen = () => state.textContent = 'connected'
  socket.onclose = event => state.textContent = `closed (${event.code} ${event.reason})`
  socket.onmessage = event => {
    const line = document.createElement('li')
    line.textContent = event.data
    log.prepend(line)
  }
  document.getElementById('form').onsubmit = event => {
    event.preventDefault()
    const text = document.getElementById('text')
    socket.send(text.value)
    text.value = ''
  }
</script>
)";

// One fiber for each socket, which waits in recv().
void converse(WebSocket websocket) {
    while (auto message = websocket.recv()) {
        if (message.isText()) websocket.send(message.textData());
        else websocket.send(message.data());
    }
}

// The handler returns, and the socket lives on with its callbacks.
void listen(WebSocket websocket) {
    websocket.onmessage([](WebSocket& self, std::string_view text) { self.send(text); });
    websocket.onmessage([](WebSocket& self, ByteView bytes) { self.send(bytes); });
}

// Each message goes back while it comes.
void pass(WebSocket websocket) {
    while (auto reader = websocket.recvStream()) {
        auto writer = websocket.sendStream(reader.isText() ? WebSocketOpcode::text : WebSocketOpcode::binary);
        for (auto piece = reader.readSome(); !piece.empty(); piece = reader.readSome()) writer.write(piece);
        writer.finish();
    }
}

void echo(Cgi& cgi) {
    if (cgi.pathInfo() == "/") return cgi.write(page, true);
    if (cgi.pathInfo() == "/echo") return converse(cgi.acceptWebsocket());
    if (cgi.pathInfo() == "/events") return listen(cgi.acceptWebsocket());
    if (cgi.pathInfo() == "/stream") return pass(cgi.acceptWebsocket());
    throw HttpError(404);
}

POSTERN_MAIN(echo)
