// A classifier around a snapshot, and the plain answer that it has to give: rule after rule, with
// HeaderTests.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "controlplane/language/model.h"
#include "dataplane/classify/classifier.h"
#include "tests/reference/random_packets.h"
#include "tests/unit/contract/snapshot_image.h"

namespace sluice::classify {

using RuleIndices = std::vector<std::uint32_t>;

class Bench {
  public:
    // Rules in order, with their numbers; those of disabled sets (bit N: set N) are detached.
    Bench(const std::vector<language::Rule>& rules, packet::Environment environment,
          std::uint32_t disabled_sets = 0);
    // `NUMBER RULE`, ascending, on a machine with interfaces em0 (10.0.0.1/24) and em1.
    explicit Bench(const std::vector<std::string>& lines, std::uint32_t disabled_sets = 0);
    Bench(const contract::SnapshotParts& parts, packet::Environment environment);

    std::unique_ptr<const Classifier> classifier(const Classifier::Options& options = {}) const {
        return std::make_unique<const Classifier>(view_, environment_, *local_, options);
    }
    const contract::SnapshotView& view() const { return view_; }
    const packet::Environment& environment() const { return environment_; }
    const HeaderTests& tests() const { return *tests_; }

    // Where a walk may begin.
    RuleIndices entries() const;
    // The matching rules at or behind `from`, up to the one that ends the walk.
    RuleIndices linear(const packet::Packet& packet, std::uint32_t from) const;
    // What the classifier says, each list cut behind the rule that ends the walk.
    std::vector<RuleIndices> enumerate(const Classifier& classifier,
                                       std::span<const packet::Packet> packets,
                                       std::uint32_t from) const;

  private:
    void open(std::span<const std::byte> image);
    bool ends_walk(std::uint32_t rule, const packet::Packet& packet) const;

    std::optional<contract::AlignedImage> image_;
    contract::SnapshotView view_;
    packet::Environment environment_;
    std::optional<LocalAddresses> local_;
    std::optional<HeaderTests> tests_;
};

// Parsed packets and the frames that they lie in.
class Packets {
  public:
    void add(const reference::RandomPacket& packet);
    void add(const reference::FramePlan& plan, const packet::Passage& passage);
    std::span<const packet::Packet> all() const { return packets_; }

  private:
    std::vector<std::unique_ptr<const reference::Frame>> frames_;
    std::vector<packet::Packet> packets_;
};

// The classifier's answers for all packets, from `from` on, must be the plain ones.
void expect_linear(const Bench& bench, const Classifier& classifier,
                   std::span<const packet::Packet> packets, std::uint32_t from);

}  // namespace sluice::classify
