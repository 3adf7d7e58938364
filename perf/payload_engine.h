// Packets with text in them, and the engine with one payload rule: what payload_benchmark measures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "controlplane/ruleset/pattern_catalogue.h"
#include "dataplane/packet/burst.h"
#include "dataplane/program/engine.h"

namespace sluice::perf {

[[noreturn]] void fail(const std::string& why);

// What clients send to a port of one server over TCP: pieces of a text, of so many bytes, by all
// connections in turn. A connection ends when an object of mode stream has seen enough of it.
class Traffic {
  public:
    static constexpr std::size_t kConnections = 256;

    Traffic(const std::string& corpus, std::size_t bytes, std::uint16_t port);

    std::size_t size() const { return frames_.size(); }
    std::span<const std::span<const std::byte>> frames() const { return frames_; }
    std::span<const std::byte> payload(std::size_t i) const { return frames_[i].subspan(kHeaders); }
    static std::size_t connection(std::size_t i) { return i % kConnections; }
    static bool begins_connection(std::size_t i) { return i < kConnections; }
    // What comes before: all SYNs, then what answers them, then what acknowledges that.
    const std::vector<std::vector<std::byte>>& handshakes() const { return handshakes_; }

    static constexpr std::size_t kHeaders = 14 + 20 + 20;

  private:
    std::vector<std::byte> memory_;
    std::vector<std::span<const std::byte>> frames_;
    std::vector<std::vector<std::byte>> handshakes_;
};

// The rules of a test. `without` has in place of the payload rule one that tests the port alone.
enum class PayloadRule : std::uint8_t { with, without };

class PayloadEngine {
  public:
    static constexpr std::uint16_t kPort = 80, kOtherPort = 81;  // of the payload rule; of none

    PayloadEngine(const ruleset::PatternObject& object, PayloadRule rule);
    PayloadEngine(const PayloadEngine&) = delete;

    // The connections of the traffic begin.
    void prepare(const Traffic& traffic);
    // All of it once. The packets are let through, or it fails.
    void pass(const Traffic& traffic);
    // How often patterns were looked for; it fails if something was not looked at.
    std::uint64_t looks() const;

  private:
    void judge(std::span<const std::span<const std::byte>> frames);

    contract::PatternMode mode_;
    std::unique_ptr<const program::Runtime> runtime_;
    contract::WorkerCounters worker_counters_;
    std::vector<contract::RuleCounters> counters_;
    std::vector<contract::SlotAnnotation> annotations_;
    std::unique_ptr<state::StateTable> states_;
    std::unique_ptr<payload::FlowStreams> flows_;
    std::unique_ptr<program::Engine> engine_;
    std::unique_ptr<packet::Burst> burst_ = std::make_unique<packet::Burst>();
    std::unique_ptr<program::Judgement> judgement_ = std::make_unique<program::Judgement>();
};

}  // namespace sluice::perf
