// Dynamic rules in the plainest form: a list of states and a list of parents, every look-up a walk
// over the list. Written from ipfw(8) and the answers of the real engine, without a look at
// dataplane/state. Where a flow has states under several names, `:any` finds the newest.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/language/model.h"
#include "dataplane/contract/snapshot.h"
#include "tests/reference/slow_packet.h"

namespace sluice::reference {

// Ports are 0 where the packet shows none.
struct SlowFlow {
    unsigned protocol = 0;
    std::vector<std::uint8_t> source, destination;  // 4 or 16 bytes
    unsigned source_port = 0, destination_port = 0;

    SlowFlow reversed() const;
    bool operator==(const SlowFlow&) const = default;
};

SlowFlow flow_of(const SlowPacket& packet);

// Counts the states that one rule has for one value of its masked key. Without children it goes
// when any state goes (conformance/modern-stateful-006), or after dyn_short_lifetime.
struct SlowParent {
    std::size_t rule = 0;
    SlowFlow key;
    std::uint64_t made_s = 0;
    unsigned children = 0;
};

struct SlowState {
    SlowFlow flow;  // of the packet that made it
    std::string name;
    std::size_t rule = 0;
    SlowParent* parent = nullptr;
    std::uint64_t made_s = 0;
    std::uint32_t own_lifetime_s = 0;  // `lifetime N`; 0: not given
    std::uint64_t packets = 0, bytes = 0;
    // Index 0: the direction of the flow, 1: the other one.
    unsigned flags_seen[2] = {0, 0};
    std::uint32_t acknowledged[2] = {0, 0};
    bool has_moved[2] = {false, false};  // since both had last moved
    bool answered = false;
    std::uint64_t expires_s = 0;
};

class SlowStates {
  public:
    explicit SlowStates(const contract::Sysctls& sysctls) : sysctls_(sysctls) {}

    struct Found {
        SlowState* state;
        bool reverse;
    };
    // An empty name stands for any. A state that is found counts the packet and is prolonged.
    std::optional<Found> look_up(const SlowPacket& packet, const std::string& name);

    // Removes the state that `look_up` would find as long as the rule that made it is `over`.
    void forget(const SlowPacket& packet, const std::string& name,
                const std::function<bool(std::size_t rule)>& over);

    enum class Made { yes, there_already, table_full, limit_reached };
    Made make(const SlowPacket& packet, const language::StateOption& option, std::size_t rule);

    // To be called before each packet, with times that do not go back. What is over goes, when the
    // second has changed since the last call; established connections near their end get
    // keepalives.
    void advance_to(std::uint64_t time_ms);
    std::uint64_t uptime_s() const { return now_s_; }

    const std::list<SlowState>& states() const { return states_; }
    const std::list<SlowParent>& parents() const { return parents_; }
    // `SRC,SPORT,DST,DPORT,SEQ,ACK,0x10` of each keepalive so far.
    const std::vector<std::string>& keepalives() const { return keepalives_; }

  private:
    SlowState* newest(const SlowPacket& packet, const std::string& name);
    void prolong(SlowState& state, const SlowPacket& packet, bool reverse) const;
    std::uint64_t syn_lifetime(const SlowState& state) const;
    bool is_full() const;
    SlowParent* parent_for(const SlowFlow& key, std::size_t rule);
    void remove_expired();
    void remove_childless_parents();
    void send_keepalives();

    contract::Sysctls sysctls_;
    std::list<SlowState> states_;
    std::list<SlowParent> parents_;
    std::uint64_t now_s_ = 0;
    std::uint64_t last_keepalive_s_ = 0;
    std::uint64_t states_before_packet_ = 0;
    std::vector<std::string> keepalives_;
};

// As addresses stand in lists of states and in keepalives: no brackets.
std::string plain_address_text(const std::vector<std::uint8_t>& address);

}  // namespace sluice::reference
