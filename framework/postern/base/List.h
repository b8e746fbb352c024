#pragma once
// A doubly linked list whose nodes live in the listed objects: linking allocates nothing, unlinking needs no search.

#include <cassert>
#include <cstddef>

namespace postern {

/// Base of a listed class. It leaves its list by itself when it is destroyed. `Tag` lets one object be in several lists.
template <typename Tag = void>
class ListNode {
public:
    ListNode() = default;
    ListNode(const ListNode&) = delete;
    ListNode& operator=(const ListNode&) = delete;
    ~ListNode() { unlink(); }

    bool isLinked() const { return next_ != nullptr; }
    void unlink() {
        if (!next_) return;
        next_->previous_ = previous_;
        previous_->next_ = next_;
        next_ = previous_ = nullptr;
    }

private:
    template <typename, typename>
    friend class List;
    ListNode* next_ = nullptr;
    ListNode* previous_ = nullptr;
};

/// A list of `Item`s, each derived from ListNode<Tag>. It owns nothing; items may leave while it lives.
template <typename Item, typename Tag = void>
class List {
    using Node = ListNode<Tag>;

public:
    List() { head_.next_ = head_.previous_ = &head_; }
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    ~List() {
        while (!empty()) head_.next_->unlink();
        head_.next_ = head_.previous_ = nullptr;
    }

    bool empty() const { return head_.next_ == &head_; }
    bool hasSeveral() const { return head_.next_ != head_.previous_; }
    Item& front() {
        assert(!empty());
        return static_cast<Item&>(*head_.next_);
    }
    void pushBack(Node& node) {
        assert(!node.isLinked());
        node.next_ = &head_;
        node.previous_ = head_.previous_;
        head_.previous_->next_ = &node;
        head_.previous_ = &node;
    }
    void pushBackUnlessLinked(Node& node) {
        if (!node.isLinked()) pushBack(node);
    }
    Item& popFront() {
        Item& item = front();
        static_cast<Node&>(item).unlink();
        return item;
    }
    void moveAllTo(List& other) {
        while (!empty()) other.pushBack(popFront());
    }
    size_t size() const {
        size_t count = 0;
        for (const Node* node = head_.next_; node != &head_; node = node->next_) ++count;
        return count;
    }

private:
    Node head_;
};

}
