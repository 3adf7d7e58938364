// Rules that a script has removed, and that may come back: one that is added again meanwhile, the
// same in number, set, log limit and text, as when a file begins with a flush, is the same rule.
//
// A file of 100,000 rules removes and finds as many, so there is one entry for each in one vector,
// and an index of chains. Of rules that are the same the one that was removed first is found first.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "controlplane/ruleset/stored_rule.h"

namespace sluice::ruleset {

// What makes two rules the same one.
struct RuleIdentity {
    std::uint16_t number = 0;
    std::uint8_t set = 0;
    std::uint32_t log_limit = 0;
    std::string_view text;
};

class RemovedRules {
  public:
    struct Entry {
        RulePointer rule;     // null: it has come back
        bool orphan = false;  // it is kept for its states
    };

    void add(RulePointer rule, bool orphan);

    bool empty() const { return entries_.empty(); }

    // Null: there is none. Valid until the next change.
    const StoredRule* find(const RuleIdentity& wanted) const;
    // The same rule, which is not among the removed ones any more.
    RulePointer take(const RuleIdentity& wanted);

    // In the order in which they were removed.
    const std::vector<Entry>& entries() const { return entries_; }
    std::vector<Entry>& entries() { return entries_; }
    void clear() { *this = RemovedRules(); }

  private:
    static constexpr std::uint32_t kNone = 0xffffffff;
    struct Chain {
        std::uint32_t first = kNone, last = kNone;
    };
    struct Link {
        std::uint32_t hash = 0;
        std::uint32_t next = kNone;
    };

    void append(std::uint32_t entry);
    std::uint32_t search(const RuleIdentity& wanted, std::uint32_t& before) const;

    std::vector<Entry> entries_;
    std::vector<Link> links_;    // by entry
    std::vector<Chain> chains_;  // by the lower bits of the hash
};

}  // namespace sluice::ruleset
