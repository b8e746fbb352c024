#pragma once

#include "postern/cgi/Cgi.h"
#include "postern/main/Options.h"

namespace postern {

/// Makes a program out of a handler: finds out how it was started (server, CGI program, command line), serves
/// accordingly, and returns the exit code for main(). docs/command-line.md tells what the program's users can say.
int genericMain(int argc, char** argv, const Handler& handler, const ProgramOptions& options = {});

}

/// int main() for a handler.
#define POSTERN_MAIN(handler)                          \
    int main(int argc, char** argv) {                  \
        return postern::genericMain(argc, argv, handler); \
    }
