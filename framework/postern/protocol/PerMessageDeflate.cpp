#include "postern/protocol/PerMessageDeflate.h"

#include <algorithm>

namespace postern {

namespace {

constexpr std::string_view messageTail("\x00\x00\xff\xff", 4);

template <typename Shelf, typename Kind>
auto takeFrom(Shelf& shelf, const Kind& kind) {
    const auto at = std::find_if(shelf.rbegin(), shelf.rend(), [&](const auto& entry) { return entry.first == kind; });
    if (at == shelf.rend()) return decltype(at->second)();
    auto taken = std::move(at->second);
    shelf.erase(std::next(at).base());
    return taken;
}

template <typename Shelf, typename Kind, typename Codec>
void putOn(Shelf& shelf, size_t kept, const Kind& kind, std::unique_ptr<Codec> codec) noexcept {
    const auto same = [&](const auto& entry) { return entry.first == kind; };
    if (static_cast<size_t>(std::count_if(shelf.begin(), shelf.end(), same)) >= kept) return;
    try {
        shelf.emplace_back(kind, std::move(codec));
    } catch (const std::bad_alloc&) {
        // It is freed instead.
    }
}

}

std::unique_ptr<Deflater> DeflatePool::takeDeflater(const DeflaterKind& kind) {
    auto taken = takeFrom(deflaters_, kind);
    return taken ? std::move(taken) : std::make_unique<Deflater>(kind.windowBits, kind.level, kind.memoryLevel);
}

std::unique_ptr<Inflater> DeflatePool::takeInflater(int windowBits) {
    auto taken = takeFrom(inflaters_, windowBits);
    return taken ? std::move(taken) : std::make_unique<Inflater>(windowBits);
}

void DeflatePool::giveBack(std::unique_ptr<Deflater> deflater, const DeflaterKind& kind) noexcept {
    deflater->reset();
    putOn(deflaters_, kept, kind, std::move(deflater));
}

void DeflatePool::giveBack(std::unique_ptr<Inflater> inflater, int windowBits) noexcept {
    inflater->reset();
    putOn(inflaters_, kept, windowBits, std::move(inflater));
}

PerMessageDeflate::PerMessageDeflate(const DeflateAgreement& agreement, const DeflateOptions& options, bool isServer,
                                     DeflatePool& pool)
    : pool_(pool),
      kind_{isServer ? agreement.serverWindowBits : agreement.clientWindowBits, options.level, options.memoryLevel},
      inflateBits_(isServer ? agreement.clientWindowBits : agreement.serverWindowBits),
      keepDeflater_(options.contextTakeover &&
                    !(isServer ? agreement.serverNoContextTakeover : agreement.clientNoContextTakeover)),
      keepInflater_(!(isServer ? agreement.clientNoContextTakeover : agreement.serverNoContextTakeover)),
      threshold_(options.threshold) {}

PerMessageDeflate::~PerMessageDeflate() {
    if (deflater_ && !keepDeflater_) pool_.giveBack(std::move(deflater_), kind_);
    if (inflater_ && !keepInflater_) pool_.giveBack(std::move(inflater_), inflateBits_);
}

void PerMessageDeflate::compress(std::string_view data, Piece piece, std::string& out) {
    if (!deflater_) deflater_ = pool_.takeDeflater(kind_);
    compressing_ = piece != Piece::last;
    const auto before = out.size();
    deflater_->deflate(data, piece != Piece::more, out);
    if (piece != Piece::last) return;
    // A flush with nothing new before it adds nothing: an empty block stands for what is missing (§7.2.3.6).
    if (out.size() > before) out.resize(out.size() - messageTail.size());
    else out.push_back('\0');
    if (!keepDeflater_) pool_.giveBack(std::move(deflater_), kind_);
}

Inflater::Progress PerMessageDeflate::decompress(std::string_view data, size_t limit, std::string& out) {
    if (!inflater_) inflater_ = pool_.takeInflater(inflateBits_);
    return inflater_->inflate(data, limit, out);
}

Inflater::Progress PerMessageDeflate::finishDecompressing(size_t limit, std::string& out) {
    if (!inflater_) inflater_ = pool_.takeInflater(inflateBits_);
    Inflater::Progress progress;
    // Some peers end a message with a final block and leave out the empty one that should follow.
    if (tailSent_ > 0 || !inflater_->atStreamEnd()) {
        progress = inflater_->inflate(messageTail.substr(tailSent_), limit, out);
        tailSent_ = static_cast<uint8_t>(tailSent_ + progress.consumed);
        if (progress.corrupt || progress.outputFull) return progress;
        if (!inflater_->atBlockEnd()) {
            progress.corrupt = true;
            return progress;
        }
    }
    tailSent_ = 0;
    if (!keepInflater_) pool_.giveBack(std::move(inflater_), inflateBits_);
    return progress;
}

void PerMessageDeflate::rest() {
    if (!compressing_) deflater_.reset();
}

}
