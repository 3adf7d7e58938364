// Sluice's side of the benchmark, and the only part of it that knows how Sluice classifies: rules
// go the way that they go in production, from text through the compiler to a runtime.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "dataplane/classify/classifier.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/runtime.h"
#include "perf/classifier/measure.h"
#include "perf/classifier/rule_set.h"

namespace sluice::perf {

class Subject {
  public:
    struct Costs {
        double language_s = 0;    // text to rules
        double compiler_s = 0;    // rules to snapshot
        double classifier_s = 0;  // snapshot to classifier, what rte_acl_build does
        double runtime_s = 0;     // snapshot to a runtime, its classifier included
        std::size_t bytes = 0;    // of the classifier
    };

    static Result<std::unique_ptr<Subject>> build(const RuleSet& set);

    const Costs& costs() const { return costs_; }

    // Which way of classifying it is, in a word or two.
    std::string description() const;

    // The traffic. Whatever is taken out of headers for all rules together is taken out here.
    void read(const std::vector<packet::Packet>& packets);

    // Finds the matching rules of some packets, in order, up to the first that ends the walk; this
    // is what is timed. REQUIRES: count <= kBurst.
    void classify(std::size_t first, std::size_t count);

    // What the last `classify` found for packet first + `place`: indices of rules.
    std::vector<std::uint32_t> matches(std::size_t place) const;

  private:
    Subject() = default;

    Costs costs_;
    std::unique_ptr<const program::Runtime> runtime_;
    std::vector<classify::HeaderKey> keys_;
    std::array<classify::Matches, kBurst> found_;
    std::size_t first_ = 0;  // of the burst that found_ is about
};

}  // namespace sluice::perf
