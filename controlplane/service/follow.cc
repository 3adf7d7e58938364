#include "controlplane/service/follow.h"

#include <algorithm>

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
    object["snap_length"] = follow.snap_length;
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
    follow.snap_length = static_cast<std::uint32_t>(
        in.number("snap_length", contract::kLongestCapture, contract::kLongestCapture));
    if (follow.snap_length == 0)
        in.fail("snap_length");
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

namespace {

// [time, generation, rule + 1, length, out, interfaces, verdict, bytes behind the JSON]
json packet_json(const CapturedPacket& packet) {
    return {packet.time_ns,
            packet.generation,
            static_cast<std::uint32_t>(packet.rule + 1),
            packet.length,
            packet.out ? 1u : 0u,
            packet.receive_interface,
            packet.transmit_interface,
            packet.verdict,
            packet.bytes.size()};
}

CapturedPacket read_packet(const json& value, std::string_view& bytes, Reader& in) {
    constexpr const char* kName = "packets";
    if (!value.is_array() || value.size() != 9) {
        in.fail(kName);
        return {};
    }
    const auto size = static_cast<std::size_t>(in.as_number(value[8], bytes.size(), kName));
    CapturedPacket packet{
        .time_ns = in.as_number(value[0], kMaximum64, kName),
        .generation = in.as_number(value[1], kMaximum64, kName),
        .rule = static_cast<std::int32_t>(in.as_number(value[2], 65536, kName)) - 1,
        .length = static_cast<std::uint32_t>(in.as_number(value[3], kMaximum32, kName)),
        .out = in.as_number(value[4], 1, kName) != 0,
        .receive_interface = in.as_string(value[5], kName),
        .transmit_interface = in.as_string(value[6], kName),
        .verdict = in.as_string(value[7], kName),
        .bytes = std::string(bytes.substr(0, size))};
    bytes.remove_prefix(size);
    return packet;
}

}  // namespace

std::string encode(const StreamPiece& piece) {
    json object = {{"version", kProtocolVersion}, {"lines", piece.lines}, {"lost", piece.lost}};
    std::string bytes;
    if (!piece.packets.empty()) {
        json& packets = object["packets"] = json::array();
        for (const CapturedPacket& packet : piece.packets) {
            packets.push_back(packet_json(packet));
            bytes += packet.bytes;
        }
    }
    if (!piece.over.empty())
        object["over"] = piece.over;
    std::string message = object.dump(-1, ' ', false, json::error_handler_t::replace);
    return bytes.empty() ? message : std::move(message) + kBehindJson + bytes;
}

Result<StreamPiece> decode_piece(std::string_view text) {
    const std::size_t end = std::min(text.find(kBehindJson), text.size());
    std::string_view bytes = text.substr(std::min(end + 1, text.size()));
    const Result<json> value = parse_message(text.substr(0, end));
    if (!value)
        return value.error();
    std::string problem;
    Reader in(*value, problem);
    StreamPiece piece;
    piece.lines = in.strings("lines");
    in.each("packets", [&](const json& e) { piece.packets.push_back(read_packet(e, bytes, in)); });
    piece.lost = in.number("lost", kMaximum64);
    piece.over = in.string("over");
    if (!bytes.empty())
        in.fail("bytes that belong to no packet");
    if (!problem.empty())
        return malformed_message(problem);
    return piece;
}

}  // namespace sluice::service
