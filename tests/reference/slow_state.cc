#include "tests/reference/slow_state.h"

#include <algorithm>
#include <utility>

namespace sluice::reference {

namespace {

constexpr unsigned kTcp = 6, kUdp = 17;

namespace flag = language::tcp_flag;

// FIN and RST lifetimes must end before the next keepalives.
constexpr std::uint64_t kKeepalivePeriod_s = 5;
constexpr std::uint64_t kKeepaliveInterval_s = 20;

bool has_tcp_header(const SlowPacket& packet) {
    return packet.is_first_of(kTcp);
}

std::uint64_t at_least_1(std::uint64_t seconds) {
    return std::max<std::uint64_t>(seconds, 1);
}

std::uint64_t below_keepalive(std::uint64_t seconds) {
    return std::clamp<std::uint64_t>(seconds, 1, kKeepalivePeriod_s - 1);
}

// Within a second the number that a name has in a snapshot decides.
bool is_newer(const SlowState& a, const SlowState& b) {
    return std::pair(a.made_s, contract::state_name_id(a.name)) >
           std::pair(b.made_s, contract::state_name_id(b.name));
}

}  // namespace

std::string plain_address_text(const std::vector<std::uint8_t>& address) {
    if (address.size() == 4) {
        Ipv4 v4;
        std::copy(address.begin(), address.end(), v4.value.bytes);
        return to_string(v4);
    }
    Ipv6 v6;
    std::copy(address.begin(), address.end(), v6.bytes.begin());
    return to_string(v6);
}

SlowFlow SlowFlow::reversed() const {
    return {.protocol = protocol,
            .source = destination,
            .destination = source,
            .source_port = destination_port,
            .destination_port = source_port};
}

SlowFlow flow_of(const SlowPacket& packet) {
    SlowFlow flow{
        .protocol = packet.protocol, .source = packet.source, .destination = packet.destination};
    if (packet.has_ports()) {
        flow.source_port = packet.source_port();
        flow.destination_port = packet.destination_port();
    }
    return flow;
}

SlowState* SlowStates::newest(const SlowPacket& packet, const std::string& name) {
    const SlowFlow flow = flow_of(packet), reversed = flow.reversed();
    SlowState* found = nullptr;
    for (SlowState& state : states_) {
        if ((!name.empty() && name != state.name) || (state.flow != flow && state.flow != reversed))
            continue;
        if (found == nullptr || is_newer(state, *found))
            found = &state;
    }
    return found;
}

std::optional<SlowStates::Found> SlowStates::look_up(const SlowPacket& packet,
                                                     const std::string& name) {
    SlowState* found = newest(packet, name);
    if (found == nullptr)
        return std::nullopt;
    const bool reverse = found->flow != flow_of(packet);
    found->packets += 1;
    found->bytes += packet.ip.size();
    found->answered = found->answered || reverse;
    prolong(*found, packet, reverse);
    return Found{.state = found, .reverse = reverse};
}

void SlowStates::forget(const SlowPacket& packet, const std::string& name,
                        const std::function<bool(std::size_t rule)>& over) {
    for (SlowState* found = newest(packet, name); found != nullptr && over(found->rule);
         found = newest(packet, name)) {
        if (found->parent != nullptr)
            --found->parent->children;
        states_.remove_if([&](const SlowState& state) { return &state == found; });
        remove_childless_parents();
    }
}

// Half-open states must make room faster the fuller the table is: at dyn_adaptive_start percent
// they live as long as ever, at 120 they would not live at all.
std::uint64_t SlowStates::syn_lifetime(const SlowState& state) const {
    const std::uint64_t lifetime = at_least_1(sysctls_.dyn_syn_lifetime);
    const std::uint64_t start = sysctls_.dyn_adaptive_start, most = sysctls_.dyn_max;
    if (state.answered || start == 0 || states_before_packet_ * 100 <= most * start)
        return lifetime;
    const std::uint64_t used = std::min<std::uint64_t>(states_before_packet_, most);
    return at_least_1(lifetime * (120 * most - 100 * used) / ((120 - start) * most));
}

void SlowStates::prolong(SlowState& state, const SlowPacket& packet, bool reverse) const {
    auto own_or = [&](std::uint64_t lifetime) {
        return state.own_lifetime_s != 0 ? state.own_lifetime_s : at_least_1(lifetime);
    };
    if (packet.protocol == kUdp) {
        state.expires_s = now_s_ + own_or(sysctls_.dyn_udp_lifetime);
        return;
    }
    if (packet.protocol != kTcp) {
        state.expires_s = now_s_ + own_or(sysctls_.dyn_short_lifetime);
        return;
    }
    if (has_tcp_header(packet))
        state.flags_seen[reverse] |= packet.upper8(13) & (flag::fin | flag::syn | flag::rst);
    const unsigned forward_seen = state.flags_seen[0], reverse_seen = state.flags_seen[1];
    const unsigned either = forward_seen | reverse_seen, both = forward_seen & reverse_seen;
    if (forward_seen == flag::syn && reverse_seen == 0) {
        state.expires_s = now_s_ + syn_lifetime(state);
    } else if ((either & flag::rst) != 0 || (both & flag::syn) == 0) {
        state.expires_s = now_s_ + below_keepalive(sysctls_.dyn_rst_lifetime);
    } else if ((both & flag::fin) != 0) {
        state.expires_s = now_s_ + below_keepalive(sysctls_.dyn_fin_lifetime);
    } else if (has_tcp_header(packet)) {
        const std::uint32_t acknowledgement = packet.upper32(8);
        std::uint32_t& last = state.acknowledged[reverse];
        if (last == 0 || static_cast<std::int32_t>(acknowledgement - last) >= 0) {
            last = acknowledgement;
            state.has_moved[reverse] = true;
        }
        if (state.has_moved[0] && state.has_moved[1]) {
            state.expires_s = now_s_ + own_or(sysctls_.dyn_ack_lifetime);
            state.has_moved[0] = state.has_moved[1] = false;
        }
    }
}

// States and parents share one limit in the real engine (conformance/modern-stateful-011); today's
// limit for parents alone comes on top.
bool SlowStates::is_full() const {
    const auto unanswered = static_cast<std::uint64_t>(std::count_if(
        states_.begin(), states_.end(), [](const SlowState& state) { return !state.answered; }));
    const std::uint64_t most = sysctls_.dyn_max;
    return states_.size() + parents_.size() >= most ||
           unanswered >= most - most * sysctls_.dyn_established_share / 100;
}

// Null: there are too many already.
SlowParent* SlowStates::parent_for(const SlowFlow& key, std::size_t rule) {
    for (SlowParent& parent : parents_)
        if (parent.rule == rule && parent.key == key)
            return &parent;
    if (parents_.size() >= sysctls_.dyn_parent_max ||
        states_.size() + parents_.size() >= sysctls_.dyn_max)
        return nullptr;
    parents_.push_back({.rule = rule, .key = key, .made_s = now_s_});
    return &parents_.back();
}

SlowStates::Made SlowStates::make(const SlowPacket& packet, const language::StateOption& option,
                                  std::size_t rule) {
    using Kind = language::StateOption::Kind;
    const SlowFlow flow = flow_of(packet);
    for (const SlowState& state : states_)
        if (state.name == option.name && (flow == state.flow || flow == state.flow.reversed()))
            return Made::there_already;

    SlowParent* parent = nullptr;
    if (option.kind == Kind::limit || option.kind == Kind::set_limit) {
        // What the key leaves out is zero.
        SlowFlow key{.protocol = flow.protocol,
                     .source = std::vector<std::uint8_t>(flow.source.size()),
                     .destination = std::vector<std::uint8_t>(flow.destination.size())};
        if (option.by_source)
            key.source = flow.source;
        if (option.by_destination)
            key.destination = flow.destination;
        if (option.by_source_port)
            key.source_port = flow.source_port;
        if (option.by_destination_port)
            key.destination_port = flow.destination_port;
        parent = parent_for(key, rule);
        if (parent == nullptr)
            return Made::table_full;
        if (parent->children >= option.limit.value)
            return Made::limit_reached;
    }
    if (is_full())
        return Made::table_full;
    if (parent != nullptr)
        ++parent->children;
    states_.push_back({.flow = flow,
                       .name = option.name,
                       .rule = rule,
                       .parent = parent,
                       .made_s = now_s_,
                       .own_lifetime_s = option.lifetime_s.value_or(0)});
    prolong(states_.back(), packet, false);
    return Made::yes;
}

void SlowStates::advance_to(std::uint64_t time_ms) {
    const std::uint64_t second = time_ms / 1000;
    while (now_s_ < second) {
        ++now_s_;
        remove_expired();
        if (sysctls_.dyn_keepalive != 0 && now_s_ >= last_keepalive_s_ + kKeepalivePeriod_s) {
            last_keepalive_s_ = now_s_;
            send_keepalives();
        }
    }
    states_before_packet_ = states_.size();
}

void SlowStates::remove_expired() {
    const std::size_t removed = states_.remove_if([this](const SlowState& state) {
        if (state.expires_s > now_s_)
            return false;
        if (state.parent != nullptr)
            --state.parent->children;
        return true;
    });
    const std::uint64_t life = at_least_1(sysctls_.dyn_short_lifetime);
    const bool waited =
        std::any_of(parents_.begin(), parents_.end(), [&](const SlowParent& parent) {
            return parent.children == 0 && parent.made_s + life <= now_s_;
        });
    if (removed != 0 || waited)
        remove_childless_parents();
}

void SlowStates::remove_childless_parents() {
    parents_.remove_if([](const SlowParent& parent) { return parent.children == 0; });
}

void SlowStates::send_keepalives() {
    auto send = [this](const SlowFlow& from, std::uint32_t sequence,
                       std::uint32_t acknowledgement) {
        keepalives_.push_back(
            plain_address_text(from.source) + "," + std::to_string(from.source_port) + "," +
            plain_address_text(from.destination) + "," + std::to_string(from.destination_port) +
            "," + std::to_string(sequence) + "," + std::to_string(acknowledgement) + ",0x10");
    };
    for (const SlowState& state : states_) {
        if (state.flow.protocol != kTcp ||
            (state.flags_seen[0] & state.flags_seen[1] & flag::syn) == 0 ||
            state.expires_s > now_s_ + kKeepaliveInterval_s)
            continue;
        // To the side that has not answered: as if the other side had sent it.
        if (!state.has_moved[1])
            send(state.flow, state.acknowledged[1] - 1, state.acknowledged[0]);
        if (!state.has_moved[0])
            send(state.flow.reversed(), state.acknowledged[0] - 1, state.acknowledged[1]);
    }
}

}  // namespace sluice::reference
