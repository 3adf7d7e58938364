// Classification: which rules match the header fields of a packet, in the order of the list.
//
// The result is not one rule but an ordered enumeration, because ipfw walks on after `count`,
// `prob`, `log`, `skipto`, `tee`. It ends with the first rule that ends the walk for every packet;
// a walk that goes on elsewhere asks again from there. The caller runs what headers do not decide.
//
// Two steps: what the search reads of the packets of a burst is put into keys, then the forest of
// each family (see forest.h) is searched for all of them together. A classifier is built once for
// a snapshot and an environment and is immutable.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/classify/attributes.h"
#include "dataplane/classify/forest.h"
#include "dataplane/classify/forest_builder.h"
#include "dataplane/classify/header_key.h"
#include "dataplane/classify/header_tests.h"
#include "dataplane/classify/search.h"
#include "dataplane/contract/snapshot_view.h"
#include "dataplane/packet/burst.h"
#include "dataplane/packet/packet.h"

namespace sluice::classify {

// What the rules cost a packet at worst, and what they cost to build.
struct Cost {
    std::array<ForestCost, kFamilies> families;
    std::size_t bytes = 0;
    std::uint64_t build_us = 0;
};

class Classifier {
  public:
    struct Options {
        InstructionSet instructions = best_instruction_set();
        // Places for boxes in a forest, for each box and on top; see ForestInput.
        std::size_t places_per_box = 8;
        std::size_t places_on_top = 16384;
        // One for rules that may be nearly the same; only read while this one is built.
        const Classifier* previous = nullptr;
    };

    // The first three must outlive the classifier.
    Classifier(const contract::SnapshotView& view, const packet::Environment& environment,
               const LocalAddresses& local, const Options& options);

    // REQUIRES: keys.size() >= packets.size().
    void read_keys(std::span<const packet::Packet> packets, std::span<HeaderKey> keys) const;

    // Those of some packets of a burst: keys[k] is that of packet places[k].
    // REQUIRES: keys.size() >= places.size().
    void read_keys(packet::Burst& burst, std::span<const std::uint8_t> places,
                   std::span<HeaderKey> keys) const;
    void read_key(const packet::Packet& packet, HeaderKey& key) const;

    // The one rule that every packet of a family matches first and last, whatever it looks like.
    // None: it has to be searched for.
    std::optional<std::uint32_t> only_rule(Family family) const {
        return forest(family).only_rule();
    }

    // What keys of common IPv4 packets depend on, beside addresses, ports, protocol and passage:
    // fields as RuleCache has them.
    std::uint64_t fields_asked() const { return fields_asked_; }

    // The matching rules of each key at or behind `from`. The default rule matches everything.
    // REQUIRES: matches.size() >= keys.size().
    void classify(std::span<const HeaderKey> keys, std::uint32_t from,
                  std::span<Matches> matches) const;

    // The first rule at or behind this one from which on `classify` may be asked by a walk that has
    // not come through the rules before: in between, some may be left out that those hide.
    std::uint32_t next_segment(std::uint32_t rule) const;

    const HeaderTests& tests() const { return tests_; }
    const Cost& cost() const { return cost_; }

  private:
    void classify_some(std::span<const HeaderKey> keys, std::uint32_t from,
                       std::span<Matches> matches, std::span<const HeaderKey> ahead) const;
    void classify_mixed(Family family, std::span<const HeaderKey> keys, std::uint32_t from,
                        std::span<Matches> matches) const;
    const Forest& forest(Family family) const { return forests_[static_cast<std::size_t>(family)]; }

    const LocalAddresses& local_;
    HeaderTests tests_;
    std::vector<std::uint32_t> segments_;  // by rule
    std::array<Forest, kFamilies> forests_;
    std::array<ForestPlan, kFamilies> plans_;
    std::array<AttributeTable, kFamilies> attributes_;
    SearchFunction search_;
    std::uint64_t fields_asked_ = 0;
    Cost cost_;
};

}  // namespace sluice::classify
