// A ruleset, compiled, with N engines around it: what the data plane is, without its ports.
//
// Packets are taken in order, each by the worker that its flow hashes to, so that N workers must
// give the answers of one. Time is that of the packets; what is due in between (states that end,
// keepalives) is done when a packet shows that time has gone on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "controlplane/log/log_limiter.h"
#include "controlplane/ruleset/listing.h"
#include "controlplane/ruleset/ruleset.h"
#include "dataplane/packet/reassembly.h"
#include "dataplane/program/engine.h"

namespace sluice::replay {

// The way of one packet: the tees that it passed, then the end.
struct Outcome {
    struct Tee {
        std::optional<std::uint16_t> port;  // none: no tee, but the datagram became whole there
        std::int32_t rule_number = 0;
    };
    std::vector<Tee> tees;
    program::Verdict verdict;
    program::PacketMarks marks;  // what the rules have made of the packet
};

// Gives a fragment, whose verdict is `reass`, to the others. True: that was the last one, `packet`
// is the datagram now, and its walk may be resumed. False: the verdict stands.
bool reassemble(packet::Reassembler& reassembler, const program::Runtime& runtime,
                packet::Packet& packet, Outcome& outcome);

class Simulation {
  public:
    // `tables` counts hits for as many workers; null: no table has any entry. `draws` are what
    // `prob` draws; null: random numbers from `seed`. It outlives the simulation.
    static Result<std::unique_ptr<Simulation>> create(
        const ruleset::Ruleset& rules, const packet::Environment& environment,
        unsigned worker_count, std::uint64_t seed, std::shared_ptr<table::Store> tables = nullptr,
        program::RandomSource* draws = nullptr);
    ~Simulation();

    // `frame` starts at the Ethernet header. Log lines that the packet causes are appended to
    // `log`. Times should not go back; one that does counts as the latest so far for states.
    Outcome pass(std::span<const std::byte> frame, const packet::Passage& passage,
                 std::uint64_t sequence, std::uint64_t now_ms, std::vector<std::string>& log);

    // Anything but 0 is a defect: the log rings are made large enough.
    std::uint64_t lost_log_lines() const;

    // As `ipfw show` lists them, with the counters of all workers summed.
    std::vector<ruleset::ListedRule> listing() const;

    // The states as `ipfw -d show` lists them, at the time of the last packet.
    Result<std::vector<ruleset::ListedState>> states() const;

    // Those that the appliance would have sent so far, in order for each worker.
    const std::vector<state::Keepalive>& keepalives() const { return keepalives_; }

    const program::Runtime& runtime() const { return *runtime_; }

  private:
    struct Worker;
    class KeepaliveCollector;

    Simulation(const ruleset::Ruleset& rules, std::unique_ptr<const program::Runtime> runtime);
    Result<Done> make_workers(unsigned count, std::uint32_t slots, std::uint64_t seed,
                              program::RandomSource* draws);
    void drain(Worker& worker, std::vector<std::string>& log);
    void advance_to(std::uint32_t uptime_s);
    Worker& owner_of(const packet::Packet& packet) const;

    ruleset::Ruleset rules_;
    std::shared_ptr<table::Store> tables_;
    std::unique_ptr<const program::Runtime> runtime_;
    std::vector<std::string> interface_names_;
    std::vector<contract::SlotAnnotation> annotations_;
    log::LogLimiter limiter_;
    state::OwnerHash owner_hash_;
    std::uint32_t uptime_s_ = 0;
    std::vector<state::Keepalive> keepalives_;
    std::vector<std::unique_ptr<Worker>> workers_;
};

// `keepalive,SOURCE,PORT,DESTINATION,PORT,SEQUENCE,ACKNOWLEDGEMENT,0x10`: the columns behind the
// index of a replay's events.
std::string to_text(const state::Keepalive& keepalive);

// `accept`, `unreach:3`, `tee:5@100>fwd:10.0.0.1:80`…: the column `verdict` of a replay. A packet
// that meets tee after tee has a long one; it is cut where the answers of the real engine are.
inline constexpr std::size_t kMaximumVerdictText = 127;
std::string to_text(const Outcome& outcome, const program::Runtime& runtime);

}  // namespace sluice::replay
