#include "support/Certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <stdexcept>

namespace postern {

namespace {

void require(bool ok, const char* what) {
    if (!ok) throw std::runtime_error(std::string("test certificates: ") + what);
}

void addExtension(X509* certificate, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    auto* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    require(extension && X509_add_ext(certificate, extension, -1) == 1, "extension");
    X509_EXTENSION_free(extension);
}

X509* makeCertificate(EVP_PKEY* key, const CertificateWish& wish, X509* issuer, EVP_PKEY* issuerKey, bool isAuthority, int serial) {
    auto* certificate = X509_new();
    require(certificate && X509_set_version(certificate, 2) == 1, "version");
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), std::chrono::seconds(wish.from).count());
    X509_gmtime_adj(X509_getm_notAfter(certificate), std::chrono::seconds(wish.to).count());
    X509_set_pubkey(certificate, key);
    auto* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(wish.commonName.c_str()), -1, -1, 0);
    X509* signer = issuer ? issuer : certificate;
    X509_set_issuer_name(certificate, X509_get_subject_name(signer));
    if (isAuthority) addExtension(certificate, signer, NID_basic_constraints, "critical,CA:TRUE");
    std::string names;
    for (const auto& one : wish.names) names += (names.empty() ? "" : ",") + one;
    if (!names.empty()) addExtension(certificate, signer, NID_subject_alt_name, names);
    require(X509_sign(certificate, issuerKey ? issuerKey : key, EVP_sha256()) > 0, "signature");
    return certificate;
}

using File = std::unique_ptr<std::FILE, decltype(&std::fclose)>;

}

Authority::Authority(const std::string& name) : file_(directory_ / "ca.crt"), key_(EVP_EC_gen("P-256")) {
    require(key_, "key");
    certificate_ = makeCertificate(key_, {name, {}}, nullptr, nullptr, true, ++made_);
    const File file(std::fopen(file_.c_str(), "w"), std::fclose);
    require(file && PEM_write_X509(file.get(), certificate_) == 1, "file");
}

Authority::~Authority() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
}

TlsCertificate Authority::issue(const CertificateWish& wish) { return make(wish, false); }
TlsCertificate Authority::selfSigned(const CertificateWish& wish) { return make(wish, true); }

TlsCertificate Authority::make(const CertificateWish& wish, bool bySelf) {
    const auto number = std::to_string(++made_);
    const TlsCertificate files{directory_ / (number + ".crt"), directory_ / (number + ".key")};
    auto* key = EVP_EC_gen("P-256");
    require(key, "key");
    auto* certificate = makeCertificate(key, wish, bySelf ? nullptr : certificate_, bySelf ? nullptr : key_, false, made_);
    const File certificateFile(std::fopen(files.certificateFile.c_str(), "w"), std::fclose);
    const File keyFile(std::fopen(files.keyFile.c_str(), "w"), std::fclose);
    require(certificateFile && PEM_write_X509(certificateFile.get(), certificate) == 1, "file");
    require(keyFile && PEM_write_PrivateKey(keyFile.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1, "file");
    X509_free(certificate);
    EVP_PKEY_free(key);
    return files;
}

}
