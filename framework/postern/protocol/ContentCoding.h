#pragma once
// May a reply be compressed for this client? (RFC 9110 §12.5.3, §8.4)

#include <string_view>

namespace postern {

/// Does an Accept-Encoding field take gzip? An absent (empty) field does not; `gzip;q=0` refuses, `*` speaks for what
/// is not named.
bool acceptsGzip(std::string_view acceptEncoding);

/// Is a body of this Content-Type text that gets smaller? Images, archives, fonts and event streams are not.
bool isCompressible(std::string_view contentType);

}
