// What a client that follows something asks for and is told: `ipfw tail`, `ipfw capture`,
// `ipfw trace --live`. Bytes of packets stand behind the JSON of their piece, as they are.
//
// The request stands alone. It is answered like any other, and behind that answer come pieces, each
// a message of its own, until one side closes the connection. The client says nothing more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "dataplane/contract/capture_ring.h"
#include "dataplane/contract/packet_filter.h"

namespace sluice::service {

struct FollowOperation {
    enum class Kind : std::uint8_t {
        log,      // the lines of rules with `log`
        packets,  // copies of packets, one client at a time
        traces,   // and the way that each would take now
        count_
    } kind = Kind::log;
    enum class Form : std::uint8_t {
        text,
        json,  // each line an object
    } form = Form::text;
    contract::PacketFilter filter = {};
    std::uint32_t snap_length = contract::kLongestCapture;  // of packets: bytes of each
    bool operator==(const FollowOperation&) const = default;
};

// A packet as the rules saw it.
struct CapturedPacket {
    std::uint64_t time_ns = 0;  // since 1970
    std::uint64_t generation = 0;
    std::int32_t rule = 0;     // that decided; 0, -1: none did
    std::uint32_t length = 0;  // of the frame
    bool out = false;
    std::string receive_interface = {};
    std::string transmit_interface = {};
    std::string verdict = {};  // `pass`, `drop`
    std::string bytes = {};    // of the frame, as many as were captured
    bool operator==(const CapturedPacket&) const = default;
};

struct StreamPiece {
    std::vector<std::string> lines = {};
    std::vector<CapturedPacket> packets = {};
    std::uint64_t lost =
        0;  // since the last piece: what the client, or somebody before, was too slow for
    std::string over = {};  // why nothing more comes; empty: more may come
    bool operator==(const StreamPiece&) const = default;
};

std::string encode(const StreamPiece& piece);
Result<StreamPiece> decode_piece(std::string_view text);

}  // namespace sluice::service
