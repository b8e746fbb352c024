#include "postern/protocol/ContentCoding.h"

#include "support/Catch.h"
#include "support/GuardedBytes.h"

using namespace postern;
using namespace std::literals;

TEST_CASE("gzip is used only for a client that takes it", "[protocol]") {
    for (const auto field :
         {"gzip"sv, "GZip"sv, "x-gzip"sv, "gzip, deflate, br"sv, "deflate,gzip"sv, "br;q=1.0, gzip;q=0.8"sv,
          "gzip;q=1"sv, "gzip;q=0.001"sv, "gzip ; q=0.5"sv, "*"sv, "*;q=0.1"sv, "identity, *"sv, "gzip, *;q=0"sv,
          "*;q=0, gzip"sv, "identity;q=0, gzip"sv, ",,gzip,"sv, "gzip;Q=0.5"sv}) {
        INFO(field);
        CHECK(acceptsGzip(GuardedBytes(field)));
    }
    for (const auto field :
         {""sv, " "sv, ","sv, "identity"sv, "deflate, br"sv, "gzip;q=0"sv, "gzip; q=0.0"sv, "gzip;q=0.000"sv,
          "gzip;Q=0"sv, "gzip ;\tq=0"sv, "*;q=0"sv, "gzip;q=0, *"sv, "*, gzip;q=0"sv, "*;q=0, br"sv, "xgzip"sv,
          "gzipx"sv, "gzip2"sv, "br gzip"sv, "identity;x=gzip"sv}) {
        INFO(field);
        CHECK_FALSE(acceptsGzip(GuardedBytes(field)));
    }
}

TEST_CASE("text is compressed; what is compressed already, and event streams, are not", "[protocol]") {
    for (const auto type : {"text/plain"sv, "text/html; charset=utf-8"sv, "TEXT/HTML"sv, "text/css"sv, "text/csv"sv,
                            "text/javascript"sv, "application/javascript"sv, "application/json"sv,
                            "application/json;charset=utf-8"sv, "application/problem+json"sv, "application/xml"sv,
                            "image/svg+xml"sv, "application/atom+xml"sv, "application/wasm"sv}) {
        INFO(type);
        CHECK(isCompressible(GuardedBytes(type)));
    }
    for (const auto type : {""sv, "text"sv, "text/event-stream"sv, "Text/Event-Stream; charset=utf-8"sv, "image/png"sv,
                            "image/jpeg"sv, "video/mp4"sv, "audio/mpeg"sv, "font/woff2"sv, "application/zip"sv,
                            "application/gzip"sv, "application/octet-stream"sv, "application/pdf"sv,
                            "application/json-seq-zip"sv, "json"sv, "/"sv, ";text/html"sv}) {
        INFO(type);
        CHECK_FALSE(isCompressible(GuardedBytes(type)));
    }
}
