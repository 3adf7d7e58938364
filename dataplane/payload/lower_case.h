// Names as they are compared: ASCII in lower case, without a dot at the end.
#pragma once

#include <cstddef>
#include <span>

#include "dataplane/payload/parts.h"

namespace sluice::payload {

constexpr std::byte lower_case(std::byte letter) {
    return letter >= std::byte{'A'} && letter <= std::byte{'Z'} ? letter | std::byte{0x20} : letter;
}

// A name that is in lower case already. One that is empty is none.
constexpr Part name_part(std::span<const std::byte> name) {
    if (!name.empty() && name.back() == std::byte{'.'})
        name = name.first(name.size() - 1);
    return {.found = name.empty() ? Found::no : Found::yes, .bytes = name};
}

}  // namespace sluice::payload
