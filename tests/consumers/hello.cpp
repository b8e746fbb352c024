// What a stranger writes first, against the installed library.
#include <postern/postern.h>

void hello(postern::Cgi& cgi) {
    cgi.setResponseContentType("text/plain; charset=utf-8");
    cgi.write("Hello from the installed Postern.\n", true);
}

POSTERN_MAIN(hello)
