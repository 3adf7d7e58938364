#include "tests/reference/random_packets.h"

#include <algorithm>
#include <type_traits>

namespace sluice::reference {

namespace {

using namespace language;

constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58;

Ipv6 plus(Ipv6 address, int delta) {
    for (int i = 15; i >= 0; --i) {
        const int sum = address.bytes[static_cast<std::size_t>(i)] + delta;
        address.bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(sum);
        if (sum >= 0 && sum < 256)
            break;
        delta = sum < 0 ? -1 : 1;
    }
    return address;
}

class Collector {
  public:
    Collector(Corners& corners, Random& random) : corners_(corners), random_(random) {}

    void rule(const Rule& rule) {
        if (rule.body) {
            group(rule.body->protocol);
            group(rule.body->source);
            group(rule.body->destination);
            if (rule.body->source_ports)
                match(rule.body->source_ports->match);
            if (rule.body->destination_ports)
                match(rule.body->destination_ports->match);
        }
        for (const Group& option : rule.options)
            group(option);
    }

  private:
    void group(const Group& group) {
        for (const Term& term : group.any_of)
            match(term.match);
    }

    void match(const Match& match) {
        std::visit([this](const auto& m) { add(m); }, match);
    }

    template <typename T>
    void add(const T&) {}  // nothing to aim at

    void add(const AddressMatch& match) {
        if (const auto* list = std::get_if<std::vector<Ipv4Network>>(&match.what)) {
            for (const Ipv4Network& n : *list) {
                const std::uint32_t first = n.address.host();
                const std::uint32_t last = first | ~n.mask.host();
                const std::uint32_t inside =
                    first | (static_cast<std::uint32_t>(random_.next()) & ~n.mask.host());
                for (const std::uint32_t v :
                     {first - 1, first, first + 1, inside, last - 1, last, last + 1})
                    corners_.v4.push_back(Ipv4::from_host(v));
            }
        } else if (const auto* list6 = std::get_if<std::vector<Ipv6Network>>(&match.what)) {
            for (const Ipv6Network& n : *list6) {
                Ipv6 last = n.address, inside = n.address;
                for (std::size_t i = 0; i < 16; ++i) {
                    const auto host = static_cast<std::uint8_t>(~n.mask.bytes[i]);
                    last.bytes[i] |= host;
                    inside.bytes[i] |= static_cast<std::uint8_t>(random_.next() & host);
                }
                for (const Ipv6& v : {plus(n.address, -1), n.address, plus(n.address, 1), inside,
                                      last, plus(last, 1)})
                    corners_.v6.push_back(v);
            }
        } else if (const auto* set = std::get_if<AddressSet>(&match.what)) {
            for (const unsigned i : {0u, 1u, 5u, 9u, 63u, 64u, 80u, 127u, 255u, 256u})
                corners_.v4.push_back(Ipv4::from_host(set->base.host() + i));
            corners_.v4.push_back(Ipv4::from_host(set->base.host() - 1));
        }
    }

    void add(const PortMatch& match) {
        for (const PortEntry& e : match.entries) {
            for (const int v : {e.first - 1, int{e.first}, int{e.last}, e.last + 1})
                corners_.ports.push_back(static_cast<std::uint16_t>(v));
            if (e.mask)
                corners_.ports.push_back(
                    static_cast<std::uint16_t>((e.first & *e.mask) | (random_.next() & ~*e.mask)));
        }
    }

    void add(const ProtocolMatch& match) {
        if (match.kind == ProtocolMatch::Kind::number)
            corners_.protocols.push_back(match.number);
    }

    void add(const FlagMatch& match) {
        if (match.field == FlagField::tcp_flags) {
            corners_.tcp_flags.push_back(match.set);
            corners_.tcp_flags.push_back(static_cast<std::uint8_t>(match.set | match.clear));
            corners_.tcp_flags.push_back(
                static_cast<std::uint8_t>(match.set ^ 1u << random_.below(6)));
        } else {
            corners_.numbers.push_back(match.set);
        }
    }

    void add(const ListMatch& match) {
        for (const NumberRange& r : match.ranges)
            for (const std::uint32_t v : {r.first - 1, r.first, r.last, r.last + 1})
                corners_.numbers.push_back(v);
    }

    void add(const NumberMatch& match) { corners_.numbers.push_back(match.value); }

    void add(const MacMatch& match) {
        corners_.macs.push_back(match.destination);
        corners_.macs.push_back(match.source);
    }

    Corners& corners_;
    Random& random_;
};

class Drawer {
  public:
    Drawer(Random& random, const Corners& corners) : random_(random), corners_(corners) {}

    FramePlan plan() {
        FramePlan plan;
        plan.version = random_.one_in(25) ? 0 : random_.one_in(3) ? 6 : 4;
        plan.destination_mac = random_.pick(corners_.macs);
        plan.source_mac = random_.pick(corners_.macs);
        if (random_.one_in(8))
            for (unsigned i = random_.between(1, 5); i > 0; --i)
                plan.tags.push_back(static_cast<std::uint16_t>(
                    random_.pick(std::vector<unsigned>{0x8100, 0x8100, 0x88a8, 0x9100})));
        plan.ether_type = static_cast<std::uint16_t>(
            random_.pick(std::vector<unsigned>{0x0806, 0x88cc, 0x0600, 0x8863, 38}));
        plan.source4 = random_.pick(corners_.v4);
        plan.destination4 = random_.pick(corners_.v4);
        plan.source6 = random_.pick(corners_.v6);
        plan.destination6 = random_.pick(corners_.v6);
        plan.traffic_class = static_cast<std::uint8_t>(random_.one_in(2)   ? 0
                                                       : random_.one_in(2) ? number() << 2
                                                                           : number());
        plan.flow_label = number();
        plan.id = static_cast<std::uint16_t>(number());
        plan.ttl = static_cast<std::uint8_t>(number());
        plan.protocol = random_.one_in(30) ? static_cast<std::uint8_t>(random_.below(256))
                                           : random_.pick(corners_.protocols);
        if (plan.version == 6 && plan.protocol == kIcmp)
            plan.protocol = kIcmp6;
        fragments(plan);
        if (plan.version == 4 && random_.one_in(6))
            plan.ip_options = options({7, 68, 131, 137, 148});
        if (plan.version == 6)
            extensions(plan);
        plan.source_port = random_.pick(corners_.ports);
        plan.destination_port = random_.pick(corners_.ports);
        plan.sequence = number();
        plan.acknowledgement = number();
        plan.tcp_flags = random_.one_in(6) ? static_cast<std::uint8_t>(random_.next())
                                           : random_.pick(corners_.tcp_flags);
        plan.window = static_cast<std::uint16_t>(number());
        if (random_.one_in(3))
            plan.tcp_options = options({2, 3, 4, 5, 8, 11, 30});
        plan.icmp_type = static_cast<std::uint8_t>(number());
        plan.icmp_code = static_cast<std::uint8_t>(random_.below(16));
        plan.payload = random_.below(90);
        if (random_.one_in(10))
            plan.padding = random_.below(20);
        if (random_.one_in(40))
            plan.claimed_version_length = static_cast<std::uint8_t>(random_.next());
        if (random_.one_in(40))
            plan.claimed_length = static_cast<std::uint16_t>(random_.below(120));
        if (random_.one_in(40))
            plan.claimed_data_offset = static_cast<std::uint8_t>(random_.below(16));
        return plan;
    }

  private:
    std::uint32_t number() {
        return random_.one_in(4) ? static_cast<std::uint32_t>(random_.next())
                                 : random_.pick(corners_.numbers);
    }

    void fragments(FramePlan& plan) {
        if (random_.one_in(4))
            plan.flags = static_cast<std::uint8_t>(random_.below(8));
        if (random_.one_in(8))
            plan.fragment_bytes = 8 * (random_.one_in(3) ? 1 : random_.below(8192));
    }

    // Mostly well-formed, now and then with a length that lies. At most 40 bytes.
    std::vector<std::uint8_t> options(const std::vector<std::uint8_t>& kinds) {
        std::vector<std::uint8_t> bytes;
        while (bytes.size() < 30 && !random_.one_in(4)) {
            if (random_.one_in(3)) {
                bytes.push_back(static_cast<std::uint8_t>(random_.one_in(6) ? 0 : 1));
                continue;
            }
            const std::uint8_t kind = random_.pick(kinds);
            const unsigned length = kind == 2 ? 4 : kind == 4 ? 2 : random_.between(2, 10);
            bytes.push_back(kind);
            bytes.push_back(
                static_cast<std::uint8_t>(random_.one_in(25) ? random_.below(60) : length));
            for (unsigned i = 2; i < length; ++i)
                bytes.push_back(static_cast<std::uint8_t>(random_.next()));
        }
        return bytes;
    }

    void extensions(FramePlan& plan) {
        if (!random_.one_in(3))
            return;
        for (unsigned i = random_.between(1, 4); i > 0; --i) {
            FramePlan::Extension extension;
            extension.header = random_.pick(std::vector<std::uint8_t>{0, 43, 44, 51, 60});
            extension.length_units =
                static_cast<std::uint8_t>(random_.one_in(20) ? random_.next() : random_.below(4));
            extension.routing_type =
                static_cast<std::uint8_t>(random_.pick(std::vector<unsigned>{0, 0, 2, 2, 1, 4}));
            extension.fragment_bytes = static_cast<std::uint16_t>(
                random_.one_in(2) ? 0 : 8 * (random_.one_in(3) ? 1 : random_.below(8192)));
            extension.more = random_.one_in(2);
            extension.id = static_cast<std::uint32_t>(random_.next());
            plan.extensions.push_back(extension);
        }
    }

    Random& random_;
    const Corners& corners_;
};

packet::Passage random_passage(Random& random, unsigned interface_count) {
    auto interface = [&] {
        return static_cast<packet::InterfaceIndex>(random.below(interface_count));
    };
    packet::Passage passage;
    passage.entry =
        random.pick(std::vector{packet::Entry::ip, packet::Entry::ip, packet::Entry::bridge,
                                packet::Entry::bridge, packet::Entry::layer2});
    if (random.one_in(2)) {
        passage.direction = packet::Direction::out;
        passage.transmit_interface = interface();
        if (random.one_in(2))
            passage.receive_interface = interface();
    } else if (!random.one_in(30)) {
        passage.receive_interface = interface();
    }
    return passage;
}

}  // namespace

Corners corners_of(const std::vector<Rule>& rules, Random& random) {
    Corners corners;
    // Where no rule says anything, and the addresses of the world's own interfaces.
    corners.v4 = {*parse_ipv4("10.0.0.1"), *parse_ipv4("10.0.0.7"),   *parse_ipv4("203.0.113.1"),
                  *parse_ipv4("8.8.8.8"),  *parse_ipv4("172.16.0.1"), *parse_ipv4("10.0.5.70")};
    corners.v6 = {*parse_ipv6("2001:db8:0:1::1"),
                  *parse_ipv6("2001:db8:0:1::7"),
                  *parse_ipv6("fe80::1"),
                  *parse_ipv6("2001:db8:ffff::1"),
                  *parse_ipv6("::1"),
                  *parse_ipv6("fc00::1")};
    corners.ports = {0, 80, 65535, 40000};
    corners.protocols = {kTcp, kTcp, kTcp, kUdp, kUdp, kIcmp, kIcmp, 47, 50, 132, 136, 59, 89, 2};
    corners.tcp_flags = {0, 1, 2, 4, 8, 16, 18, 17, 20, 6, 32, 0xc2, 0x3f};
    corners.numbers = {0, 1, 8, 64, 128, 255, 1000, 65535, 0xffffffff};
    corners.macs = {{{2, 0, 0, 0, 0, 1}},
                    {{2, 0, 0, 0, 0, 2}},
                    {{1, 0, 0x5e, 0, 0, 1}},
                    {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}};
    Collector collector(corners, random);
    for (const Rule& rule : rules)
        collector.rule(rule);
    return corners;
}

RandomPacket random_packet(Random& random, const Corners& corners, unsigned interface_count) {
    RandomPacket result;
    result.frame = build_frame(Drawer(random, corners).plan());
    result.passage = random_passage(random, interface_count);
    if (random.one_in(30) && !result.frame.empty())
        result.frame.resize(random.below(static_cast<unsigned>(result.frame.size())));
    if (random.one_in(40) && !result.frame.empty())
        result.frame[random.below(static_cast<unsigned>(result.frame.size()))] ^=
            static_cast<std::byte>(1u << random.below(8));
    return result;
}

Conversations::Conversations(Random& random, const Corners& corners, unsigned interface_count)
    : random_(random),
      corners_(corners),
      interface_count_(interface_count),
      time_ms_(random.below(3000)) {
    for (unsigned i = random_.between(2, 12); i > 0; --i)
        flows_.push_back(new_flow());
}

Conversations::Flow Conversations::new_flow() {
    // Often the hosts and ports of an older flow, so that keys of `limit` coincide.
    Flow flow;
    if (!flows_.empty() && random_.one_in(2))
        flow = random_.pick(flows_);
    else
        flow.version = random_.one_in(3) ? 6 : 4;
    flow.protocol = random_.pick(std::vector<std::uint8_t>{
        kTcp, kTcp, kTcp, kTcp, kUdp, kUdp, flow.version == 4 ? kIcmp : kIcmp6, 132, 47});
    for (Side& side : flow.sides) {
        if (flows_.empty() || random_.one_in(2)) {
            side.v4 = random_.pick(corners_.v4);
            side.v6 = random_.pick(corners_.v6);
        }
        if (flows_.empty() || random_.one_in(2))
            side.port = random_.pick(corners_.ports);
        // ACKs are compared by a signed difference, and 0 means none yet.
        side.sequence = random_.pick(std::vector<std::uint32_t>{
            0, 1000, 0x7fffff00, 0xffffff00, static_cast<std::uint32_t>(random_.next())});
    }
    flow.stage = 0;
    return flow;
}

// SYN, SYN-ACK, ACK, data both ways, FIN both ways; now and then something else.
void Conversations::plan_tcp(FramePlan& plan, Flow& flow, unsigned& from) {
    using namespace tcp_flag;
    constexpr unsigned kDataUntil = 12;
    std::uint8_t flags = ack;
    if (random_.one_in(8)) {
        flags = random_.pick(corners_.tcp_flags);
    } else if (flow.stage < 2) {
        from = flow.stage;
        flags = static_cast<std::uint8_t>(flow.stage == 0 ? syn : syn | ack);
    } else if (flow.stage >= kDataUntil) {
        flags = static_cast<std::uint8_t>(random_.one_in(8) ? rst : fin | ack);
    }
    const bool again = random_.one_in(8);
    Side& sender = flow.sides[from];
    plan.tcp_flags = flags;
    plan.sequence = sender.sequence;
    plan.acknowledgement =
        (flags & ack) != 0 || random_.one_in(4) ? flow.sides[1 - from].sequence : 0;
    if (random_.one_in(20))
        plan.acknowledgement -= random_.below(5000);
    if (again)
        return;
    sender.sequence += 1 + plan.payload;
    ++flow.stage;
    if (flow.stage > kDataUntil + 4 || random_.one_in(30))
        flow = new_flow();
}

Frame Conversations::packet_of(Flow& flow) {
    FramePlan plan;
    plan.version = flow.version;
    plan.ether_type = flow.version == 4 ? 0x0800 : 0x86dd;
    plan.protocol = flow.protocol;
    plan.payload = random_.below(60);
    unsigned from = random_.below(2);
    const Flow talking = flow;
    if (flow.protocol == kTcp)
        plan_tcp(plan, flow, from);
    const Side &source = talking.sides[from], &destination = talking.sides[1 - from];
    plan.source4 = source.v4;
    plan.destination4 = destination.v4;
    plan.source6 = source.v6;
    plan.destination6 = destination.v6;
    plan.source_port = source.port;
    plan.destination_port = destination.port;
    plan.icmp_type =
        static_cast<std::uint8_t>(flow.version == 4 ? (from == 0 ? 8 : 0) : 128 + from);
    if (random_.one_in(10)) {
        const bool first = random_.one_in(2);
        const unsigned offset = first ? 0 : 8 * random_.between(2, 100);
        if (flow.version == 4) {
            plan.flags = 1;
            plan.fragment_bytes = offset;
        } else {
            plan.extensions.push_back({.header = 44,
                                       .fragment_bytes = static_cast<std::uint16_t>(offset),
                                       .more = true,
                                       .id = 7});
        }
    }
    return build_frame(plan);
}

void Conversations::step_time() {
    if (random_.one_in(60))
        time_ms_ += random_.between(10'000, 60'000);
    else if (random_.one_in(10))
        time_ms_ += random_.between(1'000, 6'000);
    else
        time_ms_ += random_.one_in(4) ? random_.between(100, 900) : random_.below(50);
}

void Conversations::cut(const RandomPacket& whole) {
    constexpr std::size_t kInFront = 34;  // Ethernet without tags, IP without options
    constexpr unsigned kTotalAt = 16, kIdAt = 18, kOffsetAt = 20;
    const Frame& frame = whole.frame;
    if (frame.size() < kInFront + 24 || frame[12] != std::byte{8} || frame[13] != std::byte{0} ||
        frame[14] != std::byte{0x45} || frame[kOffsetAt] != std::byte{0} ||
        frame[kOffsetAt + 1] != std::byte{0})
        return;
    const std::size_t payload = frame.size() - kInFront;
    const std::size_t step = 8 * random_.between(2, 5);  // not 8: a TCP piece at 8 is refused
    const unsigned id = random_.below(65536);
    const auto put = [](Frame& into, std::size_t at, std::size_t value) {
        into[at] = static_cast<std::byte>(value >> 8);
        into[at + 1] = static_cast<std::byte>(value);
    };
    std::vector<RandomPacket> pieces;
    for (std::size_t begin = 0; begin < payload; begin += step) {
        const std::size_t length = std::min(step, payload - begin);
        const bool more = begin + length < payload;
        RandomPacket piece = whole;
        piece.frame.assign(frame.begin(), frame.begin() + kInFront);
        const auto from = frame.begin() + static_cast<std::ptrdiff_t>(kInFront + begin);
        piece.frame.insert(piece.frame.end(), from, from + static_cast<std::ptrdiff_t>(length));
        put(piece.frame, kTotalAt, 20 + length);
        put(piece.frame, kIdAt, id);
        put(piece.frame, kOffsetAt, begin / 8 | (more ? 0x2000u : 0u));
        pieces.push_back(piece);
        if (random_.one_in(20))
            pieces.push_back(piece);
        if (random_.one_in(25))
            pieces.back().frame.back() ^= std::byte{1};
    }
    if (random_.one_in(3))
        for (std::size_t i = pieces.size(); i > 1; --i)
            std::swap(pieces[i - 1], pieces[random_.below(static_cast<unsigned>(i))]);
    if (random_.one_in(8))
        pieces.pop_back();
    pieces_.insert(pieces_.end(), pieces.rbegin(), pieces.rend());
}

RandomPacket Conversations::next() {
    RandomPacket result = random_packet(random_, corners_, interface_count_);
    if (!pieces_.empty() && !random_.one_in(4)) {
        result = pieces_.back();
        pieces_.pop_back();
    } else if (!random_.one_in(4)) {
        result.frame = packet_of(flows_[random_.below(static_cast<unsigned>(flows_.size()))]);
        if (random_.one_in(8))
            cut(result);
    }
    result.time_ms = time_ms_;
    step_time();
    return result;
}

}  // namespace sluice::reference
