#pragma once

#include "postern/fiber/Loop.h"

#include <exception>
#include <utility>

namespace postern {

/// Runs `function` as a fiber on a loop of its own, on this thread, until it returns; throws what it throws. Sockets that
/// are left say goodbye, no longer than `goodbye`. For programs that are no server, and for tests.
template <typename Function>
void run(Function&& function, LoopOptions options = {}, Duration goodbye = std::chrono::seconds(5)) {
    Loop loop(std::move(options));
    std::exception_ptr error;
    loop.spawn([&] {
        try {
            function();
        } catch (...) {
            error = std::current_exception();
        }
        loop.drain(goodbye);
    });
    loop.run();
    if (error) std::rethrow_exception(error);
}

}
