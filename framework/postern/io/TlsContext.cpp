#include "postern/io/TlsContext.h"

#include "postern/io/TlsStream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string_view>

namespace postern {

namespace {

// For TLS 1.2; all suites of 1.3 are like these.
constexpr const char* ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr std::string_view onlyProtocol = "http/1.1";
// Sessions of clients that were asked for a certificate can only be resumed if the server has a name for itself.
constexpr std::string_view sessionContext = "postern";

const unsigned char* bytesOf(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

[[noreturn]] void badFile(const char* what, const std::string& file) {
    throw std::invalid_argument(std::string(what) + ' ' + file + ": " + takeTlsComplaint());
}

// Instead of OpenSSL's own, which asks at the terminal.
int noPassword(char*, int, int, void*) { return 0; }

SSL_CTX* newContext(const SSL_METHOD* method) {
    ERR_clear_error();
    auto* context = SSL_CTX_new(method);
    if (!context) throw std::bad_alloc();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_cipher_list(context, ciphers);
    SSL_CTX_set_default_passwd_cb(context, noPassword);
    return context;
}

void useCertificate(SSL_CTX* context, const TlsCertificate& certificate) {
    const auto& keyFile = certificate.keyFile.empty() ? certificate.certificateFile : certificate.keyFile;
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, certificate.certificateFile.c_str()) != 1)
        badFile("cannot use the certificate", certificate.certificateFile);
    ERR_clear_error();
    if (SSL_CTX_use_PrivateKey_file(context, keyFile.c_str(), SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(context) != 1)
        badFile("cannot use the key", keyFile);
}

int chooseProtocol(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                   unsigned offeredSize, void*) {
    for (unsigned at = 0; at < offeredSize; at += 1u + offered[at]) {
        if (std::string_view(reinterpret_cast<const char*>(offered) + at + 1, offered[at]) != onlyProtocol) continue;
        *chosen = offered + at + 1;
        *size = offered[at];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int chooseCertificate(SSL* connection, int*, void* context) {
    const char* host = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
    if (host) SSL_set_SSL_CTX(connection, static_cast<const TlsServerContext*>(context)->contextFor(host));
    return SSL_TLSEXT_ERR_OK;
}

// Are the certificates there to be found by the hash of their names?
bool isHashed(const char* directory) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error))
        if (const auto name = entry.path().filename().native(); name.size() == 10 && name.ends_with(".0")) return true;
    return false;
}

// OpenSSL looks into a directory when a certificate asks for it, but the file with all of them takes it many milliseconds.
void trustSystem(SSL_CTX* context) {
    const char* directory = std::getenv(X509_get_default_cert_dir_env());
    SSL_CTX_set_default_verify_dir(context);
    if (std::getenv(X509_get_default_cert_file_env()) || !isHashed(directory ? directory : X509_get_default_cert_dir()))
        SSL_CTX_set_default_verify_file(context);
}

bool isNumericAddress(const std::string& host) {
    auto* bytes = a2i_IPADDRESS(host.c_str());
    ASN1_OCTET_STRING_free(bytes);
    ERR_clear_error();
    return bytes != nullptr;
}

}

void TlsServerContext::FreeContext::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

TlsServerContext::TlsServerContext(const TlsServerOptions& options) : clientCertificates_(options.clientCertificates) {
    if (options.certificates.empty()) throw std::invalid_argument("TLS needs a certificate");
    for (const auto& certificate : options.certificates) {
        contexts_.emplace_back(newContext(TLS_server_method()));
        useCertificate(contexts_.back().get(), certificate);
        configure(contexts_.back().get(), options);
    }
    SSL_CTX_set_tlsext_servername_callback(contexts_.front().get(), chooseCertificate);
    SSL_CTX_set_tlsext_servername_arg(contexts_.front().get(), this);
}

TlsServerContext::~TlsServerContext() = default;

void TlsServerContext::configure(ssl_ctx_st* context, const TlsServerOptions& options) {
    SSL_CTX_set_alpn_select_cb(context, chooseProtocol, nullptr);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets are enough
    SSL_CTX_set_session_id_context(context, bytesOf(sessionContext), static_cast<unsigned>(sessionContext.size()));
    if (clientCertificates_ == ClientCertificates::none) return;
    if (options.clientCaFile.empty()) throw std::invalid_argument("clients' certificates need a file of who signs them");
    ERR_clear_error();
    const auto& caFile = options.clientCaFile;
    if (SSL_CTX_load_verify_file(context, caFile.c_str()) != 1) badFile("cannot use the CA file", caFile);
    auto* names = SSL_load_client_CA_file(caFile.c_str());
    if (!names) badFile("cannot use the CA file", caFile);
    SSL_CTX_set_client_CA_list(context, names);
    const bool required = clientCertificates_ == ClientCertificates::required;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
}

ssl_st* TlsServerContext::newConnection() const {
    auto* connection = SSL_new(contexts_.front().get());
    if (!connection) throw std::bad_alloc();
    SSL_set_accept_state(connection);
    return connection;
}

ssl_ctx_st* TlsServerContext::contextFor(const char* host) const {
    for (const unsigned flags : {static_cast<unsigned>(X509_CHECK_FLAG_NO_WILDCARDS), 0u})
        for (const auto& context : contexts_)
            if (X509_check_host(SSL_CTX_get0_certificate(context.get()), host, std::strlen(host), flags, nullptr) == 1)
                return context.get();
    return contexts_.front().get();
}

TlsClientContext::TlsClientContext(const TlsClientOptions& options)
    : context_(newContext(TLS_client_method())), serverName_(options.serverName) {
    try {
        if (!options.clientCertificate.certificateFile.empty()) useCertificate(context_, options.clientCertificate);
        if (!options.caFile.empty()) {
            if (SSL_CTX_load_verify_file(context_, options.caFile.c_str()) != 1) badFile("cannot use the CA file", options.caFile);
        } else if (options.verify) {
            trustSystem(context_);
        }
    } catch (const std::invalid_argument& problem) {
        SSL_CTX_free(context_);
        throw TlsError(problem.what());
    }
    if (options.verify) SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    std::string offer(1, static_cast<char>(onlyProtocol.size()));
    offer += onlyProtocol;
    SSL_CTX_set_alpn_protos(context_, bytesOf(offer), static_cast<unsigned>(offer.size()));
}

TlsClientContext::~TlsClientContext() { SSL_CTX_free(context_); }

ssl_st* TlsClientContext::newConnection(const std::string& host) const {
    auto* connection = SSL_new(context_);
    if (!connection) throw std::bad_alloc();
    SSL_set_connect_state(connection);
    const auto& name = serverName_.empty() ? host : serverName_;
    if (isNumericAddress(name)) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), name.c_str());
    } else {
        SSL_set_hostflags(connection, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        SSL_set1_host(connection, name.c_str());
        SSL_set_tlsext_host_name(connection, name.c_str());
    }
    return connection;
}

std::string takeTlsComplaint() {
    const auto error = ERR_get_error();  // the first: what followed came of it
    ERR_clear_error();
    if (error == 0) return "no reason given";
    if (ERR_SYSTEM_ERROR(error)) return std::strerror(ERR_GET_REASON(error));
    const char* text = ERR_reason_error_string(error);
    const std::string reason = text ? text : "error " + std::to_string(error);
    const bool isAlert = ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) > SSL_AD_REASON_OFFSET;
    return isAlert ? "the peer says: " + reason : reason;
}

}
