// The smallest program: plain text at /.

#include <postern/postern.h>

void hello(postern::Cgi& cgi) {
    cgi.setResponseContentType("text/plain; charset=utf-8");
    if (cgi.pathInfo() != "/") throw postern::HttpError(404);
    cgi.write("Hello, world!\n", true);
}

POSTERN_MAIN(hello)
