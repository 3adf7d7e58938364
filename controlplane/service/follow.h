// What a client that follows something asks for and is told: `ipfw tail`.
//
// The request stands alone. It is answered like any other, and behind that answer come pieces, each
// a message of its own, until one side closes the connection. The client says nothing more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "dataplane/contract/packet_filter.h"

namespace sluice::service {

struct FollowOperation {
    enum class Kind : std::uint8_t {
        log,  // the lines of rules with `log`
        count_
    } kind = Kind::log;
    enum class Form : std::uint8_t {
        text,
        json,  // each line an object
    } form = Form::text;
    contract::PacketFilter filter = {};
    bool operator==(const FollowOperation&) const = default;
};

struct StreamPiece {
    std::vector<std::string> lines;
    std::uint64_t lost = 0;  // lines since the last piece, which the client was too slow for
    bool operator==(const StreamPiece&) const = default;
};

std::string encode(const StreamPiece& piece);
Result<StreamPiece> decode_piece(std::string_view text);

}  // namespace sluice::service
