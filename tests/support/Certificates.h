#pragma once
// A certification authority for tests: makes certificates and keys in files of a directory of its own.

#include "postern/io/TlsContext.h"
#include "support/Process.h"

#include <chrono>
#include <string>
#include <vector>

struct evp_pkey_st;
struct x509_st;

namespace postern {

struct CertificateWish {
    std::string commonName;
    std::vector<std::string> names;   ///< "DNS:a.example", "IP:127.0.0.1"
    std::chrono::hours from{-24}, to{24 * 30};   ///< counted from now
};

class Authority {
public:
    explicit Authority(const std::string& name = "Test CA");
    ~Authority();
    Authority(const Authority&) = delete;
    Authority& operator=(const Authority&) = delete;

    /// Its own certificate.
    const std::string& file() const { return file_; }
    /// Another that the authority vouches for, or that vouches for itself. Each has a new key.
    TlsCertificate issue(const CertificateWish& wish);
    TlsCertificate selfSigned(const CertificateWish& wish);

private:
    TlsCertificate make(const CertificateWish& wish, bool bySelf);

    TemporaryDirectory directory_;
    std::string file_;
    evp_pkey_st* key_ = nullptr;
    x509_st* certificate_ = nullptr;
    int made_ = 0;
};

}
