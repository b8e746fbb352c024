#include "postern/gateway/CgiGateway.h"

#include "postern/base/Errors.h"

namespace postern {

bool serveCgi(std::unique_ptr<ByteStream> stream, std::span<const FieldView> variables, const CgiSettings& settings,
              const ExchangeHandler& handler) {
    stream->setLimits({StreamLimits().highWater, settings.sendTimeout});
    RequestHead head;
    if (const auto violation = CgiExchange::readHead(CgiProtocol::cgi, variables, settings, head)) {
        Loop::current().log(LogLevel::warning, "refused a CGI request: " + std::string(violation->reason));
        stream->write(CgiExchange::refusal(CgiProtocol::cgi, *violation));
        stream->flush();
        return false;
    }
    CgiExchange exchange(CgiProtocol::cgi, std::move(stream), variables, settings, head);
    try {
        handler(exchange);
    } catch (const Disconnected&) {
        return false;  // the gateway has gone
    }
    return exchange.isComplete();
}

}
