// A validated snapshot, read in place.
//
// `SnapshotView::validate` checks everything that the packet path relies on (magic, layout,
// checksum, every section, every index, every list, targets that only go forward, the default rule
// at the end), in time linear in the size and without recursion. Whoever holds a view needs no
// further bounds check. The view does not own the bytes; they must stay and must not change as long
// as it is used.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "common/result.h"
#include "dataplane/contract/snapshot.h"

namespace sluice::contract {

class SnapshotView {
  public:
    // `image` must be aligned to 64 bytes. The error says what is wrong and at which byte.
    static Result<SnapshotView> validate(std::span<const std::byte> image);

    const SnapshotHeader& header() const { return *header_; }
    const Sysctls& sysctls() const { return header_->sysctls; }
    // The rules that are walked, the default rule last.
    std::span<const RuleRecord> rules() const { return all_rules_.first(header_->live_rules); }
    // The same and, behind them, those that only states refer to.
    std::span<const RuleRecord> all_rules() const { return all_rules_; }
    std::span<const Instruction> instructions() const { return instructions_; }
    std::span<const PortTest> ports() const { return ports_; }
    std::span<const Range> ranges() const { return ranges_; }
    std::span<const V4Network> v4_networks() const { return v4_networks_; }
    std::span<const V6Network> v6_networks() const { return v6_networks_; }
    std::span<const std::uint32_t> words() const { return words_; }
    std::span<const MacTest> mac_tests() const { return mac_tests_; }
    std::span<const InterfaceTest> interface_tests() const { return interface_tests_; }
    std::span<const PatternObject> pattern_objects() const { return pattern_objects_; }
    std::span<const PatternRecord> patterns(const PatternObject& object) const {
        return patterns_.subspan(object.first_pattern, object.pattern_count);
    }
    std::string_view pattern_text(const PatternRecord& pattern) const {
        return {pattern_text_.data() + pattern.text_offset, pattern.text_length};
    }
    // Its serialised database; empty: it has none.
    std::span<const char> database(const PatternObject& object) const {
        return pattern_databases_.subspan(object.database_offset, object.database_size);
    }
    std::string_view rule_text(const RuleRecord& rule) const {
        return {text_.data() + rule.text_offset, rule.text_length};
    }

  private:
    const SnapshotHeader* header_ = nullptr;
    std::span<const RuleRecord> all_rules_;
    std::span<const Instruction> instructions_;
    std::span<const PortTest> ports_;
    std::span<const Range> ranges_;
    std::span<const V4Network> v4_networks_;
    std::span<const V6Network> v6_networks_;
    std::span<const std::uint32_t> words_;
    std::span<const MacTest> mac_tests_;
    std::span<const InterfaceTest> interface_tests_;
    std::span<const char> text_;
    std::span<const PatternObject> pattern_objects_;
    std::span<const PatternRecord> patterns_;
    std::span<const char> pattern_text_;
    std::span<const char> pattern_databases_;
};

// FNV-1a over 64-bit words of everything behind the header. REQUIRES: image.size() is a multiple
// of 8.
std::uint64_t snapshot_checksum(std::span<const std::byte> image);

}  // namespace sluice::contract
