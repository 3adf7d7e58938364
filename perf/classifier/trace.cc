#include "perf/classifier/trace.h"

#include <algorithm>
#include <random>

#include "dataplane/packet/parser.h"
#include "tests/reference/frame.h"

namespace sluice::perf {

namespace {

constexpr std::size_t kZipfFlows = 100000;
constexpr std::uint8_t kTcp = 6, kUdp = 17, kIcmp = 1, kIcmp6 = 58;

class Maker {
  public:
    explicit Maker(const RuleSet& set) : set_(set), random_(42) {}

    Tuple in_some_rule() {
        const std::size_t specific = std::max<std::size_t>(set_.rules.size() - 1, 1);
        const Rule& rule = set_.rules[random_() % specific];
        Tuple tuple;
        tuple.source = address_in(rule.source);
        tuple.destination = address_in(rule.destination);
        tuple.protocol = rule.protocol == kAnyProtocol ? usual_protocol()
                                                       : static_cast<std::uint8_t>(rule.protocol);
        if (has_ports(tuple.protocol)) {
            tuple.source_port = port_in(rule.source_ports);
            tuple.destination_port = port_in(rule.destination_ports);
        }
        return tuple;
    }

    Tuple anything() {
        Tuple tuple;
        tuple.protocol = usual_protocol();
        tuple.source = address_in({});
        tuple.destination = address_in({});
        if (has_ports(tuple.protocol)) {
            tuple.source_port = port_in({});
            tuple.destination_port = port_in({});
        }
        return tuple;
    }

    double fraction() { return std::uniform_real_distribution<double>()(random_); }

  private:
    Words address_in(const Prefix& prefix) {
        Words address{};
        const std::size_t words = set_.ip_version == 4 ? 1 : 4;
        for (std::size_t i = 0; i < words; ++i)
            address[i] =
                prefix.address[i] | (static_cast<std::uint32_t>(random_()) & ~prefix.mask[i]);
        // Nobody sends from or to all of IPv6; the rules live in this part.
        if (set_.ip_version == 6 && prefix.length == 0)
            address[0] = 0x20010000 | (address[0] & 0xffff);
        return address;
    }

    std::uint16_t port_in(const PortRange& ports) {
        return static_cast<std::uint16_t>(ports.first +
                                          random_() % (ports.last - ports.first + 1u));
    }

    std::uint8_t usual_protocol() {
        const std::uint8_t protocols[] = {kTcp, kUdp, set_.ip_version == 4 ? kIcmp : kIcmp6};
        return protocols[random_() % std::size(protocols)];
    }

    const RuleSet& set_;
    std::mt19937_64 random_;
};

std::vector<Tuple> zipf_trace(Maker& maker, std::size_t length) {
    std::vector<Tuple> flows(kZipfFlows);
    std::generate(flows.begin(), flows.end(), [&] { return maker.in_some_rule(); });
    std::vector<double> sums(kZipfFlows);
    double sum = 0;
    for (std::size_t i = 0; i < kZipfFlows; ++i)
        sums[i] = sum += 1.0 / static_cast<double>(i + 1);
    std::vector<Tuple> trace(length);
    for (Tuple& tuple : trace) {
        const auto found = std::lower_bound(sums.begin(), sums.end(), sum * maker.fraction());
        const auto flow = static_cast<std::size_t>(found - sums.begin());
        tuple = flows[std::min(flow, kZipfFlows - 1)];
    }
    return trace;
}

Ipv6 ipv6_of(const Words& words) {
    Ipv6 address;
    for (std::size_t i = 0; i < address.bytes.size(); ++i)
        address.bytes[i] = static_cast<std::uint8_t>(words[i / 4] >> (24 - 8 * (i % 4)));
    return address;
}

bool is_same(const packet::Headers& headers, const Tuple& tuple) {
    return headers.protocol == tuple.protocol && headers.source_port == tuple.source_port &&
           headers.destination_port == tuple.destination_port &&
           headers.source == ipv6_of(tuple.source) &&
           headers.destination == ipv6_of(tuple.destination);
}

reference::Frame frame_of(const Tuple& tuple, int ip_version) {
    reference::FramePlan plan;
    plan.version = ip_version;
    plan.ether_type = ip_version == 4 ? 0x0800 : 0x86dd;
    plan.source4 = Ipv4::from_host(tuple.source[0]);
    plan.destination4 = Ipv4::from_host(tuple.destination[0]);
    plan.source6 = ipv6_of(tuple.source);
    plan.destination6 = ipv6_of(tuple.destination);
    plan.protocol = tuple.protocol;
    plan.source_port = tuple.source_port;
    plan.destination_port = tuple.destination_port;
    plan.tcp_flags = 16;  // ACK
    plan.payload = has_ports(tuple.protocol) ? 0 : 16;
    return reference::build_frame(plan);
}

}  // namespace

const char* trace_name(TraceKind kind) {
    switch (kind) {
        case TraceKind::rule_uniform:
            return "rule";
        case TraceKind::zipf:
            return "zipf";
        case TraceKind::random:
            return "random";
    }
    return "";
}

std::vector<Tuple> make_trace(const RuleSet& set, TraceKind kind, std::size_t length) {
    Maker maker(set);
    if (kind == TraceKind::zipf)
        return zipf_trace(maker, length);
    std::vector<Tuple> trace(length);
    for (Tuple& tuple : trace)
        tuple = kind == TraceKind::random ? maker.anything() : maker.in_some_rule();
    return trace;
}

Result<Packets> Packets::make(const std::vector<Tuple>& tuples, int ip_version) {
    Packets result;
    result.frames_.reserve(tuples.size());
    result.packets_.resize(tuples.size());
    for (std::size_t i = 0; i < tuples.size(); ++i) {
        result.frames_.push_back(frame_of(tuples[i], ip_version));
        packet::Packet& packet = result.packets_[i];
        packet.passage = {.direction = packet::Direction::in,
                          .entry = packet::Entry::bridge,
                          .receive_interface = 0};
        packet.malformed = packet::parse_frame(
            result.frames_[i], {.deny_unknown_extension_headers = false}, packet.headers);
        if (packet.malformed != contract::DropReason::none || !is_same(packet.headers, tuples[i]))
            return Error{ExitStatus::data,
                         "packet " + std::to_string(i) + " of a trace, protocol " +
                             std::to_string(tuples[i].protocol) + ", is parsed to something else"};
    }
    return result;
}

}  // namespace sluice::perf
