// Server push: the time every second, as an event stream at /events and over a WebSocket at /clock.

#include <postern/postern.h>

#include <ctime>

using namespace postern;

constexpr std::string_view page = R"(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Postern clock</title>
<h1>Clock</h1>
<p>Event stream: <output id="events">…</output></p>
<p>WebSocket: <output id="socket">…</output></p>
<script>
  const show = id => event => document.getElementById(id).textContent = event.data
  new EventSource('events').onmessage = show('events')
  const here = location.href.replace(/^http/, 'ws').replace(/[^/]*$/, '')
  new WebSocket(new URL('clock', here)).onmessage = show('socket')
</script>
)";

std::string now() {
    const std::time_t time = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    char text[32];
    return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

void pushEvents(Cgi& cgi) {
    cgi.setResponseContentType("text/event-stream");
    cgi.setCache(false);
    for (;;) {  // until the client goes: write() throws then
        cgi.write("data: " + now() + "\n\n");
        cgi.flush();
        sleepFor(std::chrono::seconds(1));
    }
}

void pushMessages(WebSocket websocket) {
    do websocket.send(now());
    while (!websocket.waitForNextMessage(std::chrono::seconds(1)) || websocket.recv());
}

void clockHandler(Cgi& cgi) {
    if (cgi.pathInfo() == "/") return cgi.write(page, true);
    if (cgi.pathInfo() == "/events") return pushEvents(cgi);
    if (cgi.pathInfo() == "/clock") return pushMessages(cgi.acceptWebsocket());
    throw HttpError(404);
}

POSTERN_MAIN(clockHandler)
