#pragma once
// What both ends of TLS bring along: certificates, keys, whom they trust. TLS 1.2 and 1.3 and nothing older; forward
// secrecy and authenticated encryption only; no renegotiation, compression or early data.

#include "postern/base/Errors.h"

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

struct ssl_ctx_st;
struct ssl_st;

namespace postern {

/// The peer's certificate, version or handshake was refused, by us or by him; the text says why.
class TlsError : public Disconnected {
public:
    using Disconnected::Disconnected;
};

/// Files in PEM. The first has the certificate and behind it those between it and the CA. No key file: it has the key, too.
struct TlsCertificate {
    std::string certificateFile, keyFile;
};

enum class ClientCertificates { none, optional, required };

struct TlsServerOptions {
    /// At least one. Who names a host gets the first that is good for it (an exact name before a wildcard), everybody else
    /// the first of all.
    std::vector<TlsCertificate> certificates;
    std::string clientCaFile;   ///< who signs clients' certificates; PEM, one or more
    /// `optional`: a client may have none, but a bad one is refused.
    ClientCertificates clientCertificates = ClientCertificates::none;
};

/// Shared by all connections of a listener, on any thread. Session tickets are good for every connection of one context.
class TlsServerContext {
public:
    /// Reads the files. Throws std::invalid_argument with the file's name and the reason.
    explicit TlsServerContext(const TlsServerOptions& options);
    ~TlsServerContext();
    TlsServerContext(const TlsServerContext&) = delete;
    TlsServerContext& operator=(const TlsServerContext&) = delete;

    bool asksForCertificates() const { return clientCertificates_ != ClientCertificates::none; }
    /// A new connection's state (SSL*), which is the caller's. Throws std::bad_alloc.
    ssl_st* newConnection() const;
    /// The context (SSL_CTX*) for clients that name this host.
    ssl_ctx_st* contextFor(const char* host) const;

private:
    void configure(ssl_ctx_st* context, const TlsServerOptions& options);

    struct FreeContext {
        void operator()(ssl_ctx_st* context) const;
    };
    using Context = std::unique_ptr<ssl_ctx_st, FreeContext>;

    std::vector<Context> contexts_;   // one for each certificate
    ClientCertificates clientCertificates_;
};

/// The context for new connections, which may be replaced while others go on with theirs. From any thread.
class TlsSource {
public:
    explicit TlsSource(std::shared_ptr<const TlsServerContext> context) : context_(std::move(context)) {}
    std::shared_ptr<const TlsServerContext> current() const {
        const std::lock_guard lock(mutex_);
        return context_;
    }
    void replace(std::shared_ptr<const TlsServerContext> context) {
        const std::lock_guard lock(mutex_);
        context_.swap(context);
    }

private:
    mutable std::mutex mutex_;
    std::shared_ptr<const TlsServerContext> context_;  // guarded by mutex_
};

struct TlsClientOptions {
    bool verify = true;                ///< false: any certificate of anybody will do
    std::string caFile;                ///< whom to trust, PEM; empty: those the system trusts
    std::string serverName;            ///< asked for (SNI) and expected in the certificate; empty: the host connected to
    TlsCertificate clientCertificate;  ///< for servers that want one
};

/// For any number of connections to any hosts, on any thread.
class TlsClientContext {
public:
    /// Reads the files, which may take a while. Throws TlsError with the file's name and the reason.
    explicit TlsClientContext(const TlsClientOptions& options);
    ~TlsClientContext();
    TlsClientContext(const TlsClientContext&) = delete;
    TlsClientContext& operator=(const TlsClientContext&) = delete;

    /// The state (SSL*) of a new connection to this host. Throws std::bad_alloc.
    ssl_st* newConnection(const std::string& host) const;

private:
    ssl_ctx_st* context_;
    const std::string serverName_;
};

/// What this thread's last call to OpenSSL complained of; forgets it.
std::string takeTlsComplaint();

}
