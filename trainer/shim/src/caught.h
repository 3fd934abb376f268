// Exceptions as text that the caller frees; null where there was none.

#pragma once

#include <cstring>
#include <exception>

template <typename F> char *caught(F f) {
    try {
        f();
        return nullptr;
    } catch (const std::exception &error) {
        return strdup(error.what());
    } catch (...) {
        return strdup("libtorch threw what is no exception");
    }
}
