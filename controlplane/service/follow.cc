#include "controlplane/service/follow.h"

#include "controlplane/service/follow_json.h"
#include "controlplane/service/protocol.h"

namespace sluice::service {
namespace {

// The first four bytes for version 4, as in the filter.
Ipv4 first_four_bytes(const Ipv6& address) {
    Ipv4 result;
    std::memcpy(&result, address.bytes.data(), sizeof result);
    return result;
}

void read_address(Reader& in, contract::PacketFilter& filter) {
    if (in.field("address") == nullptr)
        return;
    const std::string text = in.string("address");
    if (const auto v4 = parse_ipv4(text)) {
        filter.ip_version = 4;
        std::memcpy(filter.address.bytes.data(), &*v4, sizeof *v4);
    } else if (const auto v6 = parse_ipv6(text)) {
        filter.ip_version = 6;
        filter.address = *v6;
    } else {
        in.fail("address");
    }
    filter.prefix_length =
        static_cast<std::uint8_t>(in.number("prefix_length", filter.ip_version == 6 ? 128 : 32));
}

}  // namespace

void put_follow(const FollowOperation& follow, json& object) {
    const contract::PacketFilter& filter = follow.filter;
    object["kind"] = static_cast<unsigned>(follow.kind);
    object["form"] = static_cast<unsigned>(follow.form);
    if (filter.ip_version != 0) {
        object["address"] = filter.ip_version == 6 ? to_string(filter.address)
                                                   : to_string(first_four_bytes(filter.address));
        object["prefix_length"] = filter.prefix_length;
    }
    if (filter.has_protocol != 0)
        object["protocol"] = filter.protocol;
    object["port"] = filter.port;
    object["rule"] = filter.rule_number;
    object["way"] = static_cast<unsigned>(filter.way);
    object["fate"] = static_cast<unsigned>(filter.fate);
}

FollowOperation read_follow(Reader& in) {
    using Kind = FollowOperation::Kind;
    FollowOperation follow;
    follow.kind =
        static_cast<Kind>(in.number("kind", static_cast<std::uint64_t>(Kind::count_) - 1));
    follow.form = static_cast<FollowOperation::Form>(in.number("form", 1));
    contract::PacketFilter& filter = follow.filter;
    read_address(in, filter);
    if (in.field("protocol") != nullptr) {
        filter.has_protocol = 1;
        filter.protocol = static_cast<std::uint8_t>(in.number("protocol", 255));
    }
    filter.port = static_cast<std::uint16_t>(in.number("port", 65535));
    filter.rule_number = static_cast<std::uint16_t>(in.number("rule", 65535));
    filter.way = static_cast<contract::WantedWay>(in.number("way", 2));
    filter.fate = static_cast<contract::Fate>(in.number("fate", 2));
    return follow;
}

std::string encode(const StreamPiece& piece) {
    const json object = {
        {"version", kProtocolVersion}, {"lines", piece.lines}, {"lost", piece.lost}};
    return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<StreamPiece> decode_piece(std::string_view text) {
    const Result<json> value = parse_message(text);
    if (!value)
        return value.error();
    std::string problem;
    Reader in(*value, problem);
    StreamPiece piece{.lines = in.strings("lines"), .lost = in.number("lost", kMaximum64)};
    if (!problem.empty())
        return malformed_message(problem);
    return piece;
}

}  // namespace sluice::service
