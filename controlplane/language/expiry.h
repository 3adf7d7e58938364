// The time at which a rule ends: `expires 1h30m`, `expires 2026-12-31T23:59Z`.
//
// In the model it is a number of seconds since 1970, in UTC; canonical text has the second form.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"
#include "controlplane/language/values.h"

namespace sluice::language {

// `now_s` is what a duration counts from; a time must lie behind it.
Result<std::uint32_t, ValueError> parse_expiry(std::string_view text, std::uint64_t now_s);

// `2026-12-31T23:59:00Z`
std::string expiry_text(std::uint32_t seconds);

}  // namespace sluice::language
