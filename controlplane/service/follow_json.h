// What protocol.cc and follow.cc lend each other. Internal to the protocol.
#pragma once

#include <cstring>

#include "controlplane/service/follow.h"
#include "controlplane/service/json_reader.h"

namespace sluice::service {

inline constexpr char kBehindJson = '\0';  // JSON has no such byte: it would be escaped

void put_follow(const FollowOperation& follow, json& object);
FollowOperation read_follow(Reader& in);

// The outermost object, with its version checked.
Result<json> parse_message(std::string_view text);
Error malformed_message(std::string_view what);

}  // namespace sluice::service
