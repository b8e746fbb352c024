#include "postern/websocket/WebSocketTerms.h"

#include <algorithm>

namespace postern {

std::shared_ptr<const WebSocketTerms> TermsPool::share(WebSocketTerms terms) {
    const auto known = std::find_if(recent_.begin(), recent_.end(), [&](const auto& other) { return *other == terms; });
    if (known != recent_.end()) return *known;
    auto made = std::make_shared<const WebSocketTerms>(std::move(terms));
    if (recent_.size() == kept) recent_.erase(recent_.begin());
    return recent_.emplace_back(std::move(made));
}

}
