#include "postern/websocket/Message.h"

#include "postern/websocket/WebSocketCore.h"

namespace postern {

Message::Message(WebSocketOpcode kind, std::string_view lent, WebSocketCore& lender)
    : opcode(kind), view_(lent), lender_(&lender) {
    lender.lent_ = this;
}

Message::Message(Message&& other)
    : opcode(other.opcode), own_(), view_(), lender_(nullptr), closeCode_(other.closeCode_) {
    other.own();
    own_ = std::move(other.own_);
    view_ = own_;
    other.view_ = {};
}

Message& Message::operator=(Message&& other) {
    if (this == &other) return *this;
    other.own();
    if (lender_) lender_->lent_ = nullptr;
    lender_ = nullptr;
    memory_.reset();
    opcode = other.opcode;
    closeCode_ = other.closeCode_;
    own_ = std::move(other.own_);
    view_ = own_;
    other.view_ = {};
    return *this;
}

Message::~Message() {
    if (lender_) lender_->lent_ = nullptr;
}

void Message::own() {
    if (!lender_ && !memory_) return;
    own_.assign(view_);
    view_ = own_;
    memory_.reset();
    if (lender_) lender_->lent_ = nullptr;
    lender_ = nullptr;
}

void Message::keep(Memory memory) {
    memory_ = std::move(memory);
    lender_->lent_ = nullptr;
    lender_ = nullptr;
}

}
