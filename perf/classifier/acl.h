// DPDK's rte_acl on the same rules: the peer that the figures are compared with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "perf/classifier/rule_set.h"

struct rte_acl_ctx;

namespace sluice::perf {

// DPDK, for its allocator and SIMD choice. rte_acl's tables lie in huge pages, or in `ordinary_mb`
// of ordinary memory where the kernel may form huge ones.
Result<Done> start_dpdk(unsigned cpu, bool huge_pages, unsigned ordinary_mb);

class Acl {
  public:
    struct Costs {
        double build_s = 0;          // rte_acl_build
        std::size_t bytes = 0;       // that it leaves behind
        std::size_t peak_bytes = 0;  // of the process while it builds, above what it had
    };

    static Result<std::unique_ptr<Acl>> build(const RuleSet& set);
    ~Acl();

    const Costs& costs() const { return costs_; }

    // Names of the methods that this machine can do.
    const std::vector<std::string>& methods() const { return methods_; }
    void use_method(std::size_t index);

    void read(const std::vector<Tuple>& tuples, int ip_version);

    // What is timed. REQUIRES: count <= kBurst.
    void classify(std::size_t first, std::size_t count);

    // What the last `classify` found for packet first + `place`: the index of the first rule.
    std::uint32_t match(std::size_t place) const;

  private:
    Acl() = default;

    rte_acl_ctx* context_ = nullptr;
    Costs costs_;
    std::vector<std::string> methods_;
    std::vector<int> method_numbers_;
    std::vector<std::uint8_t> keys_;
    std::vector<const std::uint8_t*> key_pointers_;
    std::vector<std::uint32_t> results_;
};

}  // namespace sluice::perf
