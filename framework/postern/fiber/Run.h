#pragma once

#include "postern/fiber/Loop.h"

#include <exception>
#include <utility>

namespace postern {

/// Runs `function` as a fiber on a loop of its own, on this thread, until it returns; throws what it throws. For
/// programs that are no server, and for tests.
template <typename Function>
void run(Function&& function, LoopOptions options = {}) {
    Loop loop(std::move(options));
    std::exception_ptr error;
    loop.spawn([&] {
        try {
            function();
        } catch (...) {
            error = std::current_exception();
        }
        loop.stop();
    });
    loop.run();
    if (error) std::rethrow_exception(error);
}

}
