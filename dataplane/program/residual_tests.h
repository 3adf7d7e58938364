// The tests of a rule that headers do not decide: chance, routes, tables, sockets, marks, time,
// payload.
//
// Threads: belongs to the engine of one worker.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/program/outputs.h"
#include "dataplane/program/payload_tests.h"
#include "dataplane/program/socket_tests.h"
#include "dataplane/program/table_tests.h"
#include "dataplane/program/walk.h"

namespace sluice::program {

// SplitMix64: 31 bits a draw, seeded per worker.
class SplitMix {
  public:
    explicit SplitMix(std::uint64_t seed) : state_(seed) {}

    std::uint32_t draw() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return static_cast<std::uint32_t>((z ^ (z >> 31)) >> 33);
    }

  private:
    std::uint64_t state_;
};

class ResidualTests {
  public:
    // As in Engine: `random` may be null.
    ResidualTests(const EngineOutputs& outputs, std::uint64_t seed, RandomSource* random)
        : generator_(seed),
          random_(random),
          tables_(outputs.tables, outputs.worker),
          sockets_(outputs.sockets),
          payload_(outputs) {}

    // What tables answer is kept for a packet, and they themselves do not change within a burst.
    void begin_burst(const Runtime& runtime) {
        tables_.begin_burst(runtime.serial());
        payload_.begin_burst(runtime);
    }
    void look_ahead(std::span<const classify::HeaderKey> keys) { tables_.look_ahead(keys); }
    void begin_packet() {
        tables_.begin_packet();
        sockets_.begin_packet();
        payload_.begin_packet();
    }

    PayloadTests& payload() { return payload_; }

    // Whether all of the rule's residual tests match. Sets walk.argument, and walk.refused if the
    // packet is to be dropped for what one of them saw.
    bool match(Walk& walk, const contract::RuleRecord& rule, std::uint32_t index);

    // The same in words: which of its blocks fails first, counted from 0; none: all match.
    std::optional<std::uint32_t> first_failure(Walk& walk, const contract::RuleRecord& rule,
                                               std::uint32_t index);

    // A rule whose time is over does nothing. `prob` comes before the look-up for a state, and is
    // drawn once.
    bool may_look_for_state(Walk& walk, const contract::RuleRecord& rule, std::uint32_t index);

    // Whether the time of a rule, by its index in all_rules(), is over.
    static bool has_expired(const Runtime& runtime, std::uint32_t index, std::uint64_t now_ms);

  private:
    bool test_matches(Walk& walk, const contract::Instruction& test, std::uint32_t index);
    bool chance(Walk& walk, const contract::Instruction& test, std::uint32_t index);
    std::uint32_t draw(const packet::Packet& packet, std::uint32_t rule_index);

    SplitMix generator_;
    RandomSource* random_;
    TableTests tables_;
    SocketTests sockets_;
    PayloadTests payload_;
};

}  // namespace sluice::program
