// Integers that cannot be mixed up: `Strong<struct RuleIndexTag, std::uint32_t>` compares and
// hashes like the integer it wraps, but converts to nothing by itself. The value is reached by
// `.value`.
#pragma once

#include <compare>
#include <type_traits>

namespace sluice {

template <typename Tag, typename T>
struct Strong {
    static_assert(std::is_integral_v<T>);
    T value{};

    constexpr Strong() = default;
    constexpr explicit Strong(T v) : value(v) {}
    constexpr auto operator<=>(const Strong&) const = default;
};

}  // namespace sluice
