#pragma once
// Classic CGI (RFC 3875): one request in the environment and on standard input, its reply on standard output.

#include "postern/gateway/CgiExchange.h"

namespace postern {

/// Serves the request described by `variables` over `stream`, calling the handler on the current fiber. False: the
/// request was refused, or its reply could not be completed.
bool serveCgi(std::unique_ptr<ByteStream> stream, std::span<const FieldView> variables, const CgiSettings& settings,
              const ExchangeHandler& handler);

}
