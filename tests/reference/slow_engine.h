// The oracle: ipfw as the manual describes it. One packet, one rule after the other, every test
// evaluated from the rule as the language has it and the bytes as they came. No compiler, no
// snapshot, no classifier, nothing shared with the engine that it judges but the plain types of its
// inputs. Where a line of the manual, of today's ipfw or of the answers of the real engine decided,
// the comment beside the code says so.
//
// Answers are texts, in the form of `ipfw replay`: `tee:5@100>unreach:3` and a rule number, log
// lines without date. One engine, one thread; counters and log limits live as long as it does.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "controlplane/language/model.h"
#include "dataplane/contract/snapshot.h"
#include "dataplane/packet/environment.h"
#include "dataplane/packet/packet.h"
#include "tests/reference/slow_packet.h"
#include "tests/reference/slow_reassembly.h"
#include "tests/reference/slow_state.h"
#include "tests/reference/slow_tables.h"

namespace sluice::reference {

// What `prob` draws for a packet at the rule with this place in the list; 31 bits.
using Draw = std::function<std::uint32_t(std::uint64_t sequence, std::size_t rule_index)>;

struct SlowCounters {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    bool operator==(const SlowCounters&) const = default;
};

struct SlowOutcome {
    std::string verdict;
    int rule_number = -1;  // -1: dropped before any rule, 0: no rule judged it
    std::vector<std::string> log;
    std::string marks = {};  // how the packet leaves, see marks_text
    bool operator==(const SlowOutcome&) const = default;
};

class SlowEngine {
  public:
    // `rules` in the order of the list, without the default rule. Bit N of `disabled_sets`: the
    // rules of set N are left out.
    SlowEngine(std::vector<language::Rule> rules, bool default_accept,
               const packet::Environment& environment, const contract::Sysctls& sysctls, Draw draw,
               std::uint32_t disabled_sets = 0);

    // `time_ms` since the start; it does not go back.
    SlowOutcome pass(std::span<const std::byte> frame, const packet::Passage& passage,
                     std::uint64_t sequence, std::uint64_t time_ms);

    // Changes what the rules find in tables from the next packet on.
    void change_table(const language::TableCommand& command) { tables_.carry_out(command); }

    // One per rule, the default rule last.
    const std::vector<SlowCounters>& counters() const { return counters_; }

    const SlowStates& states() const { return states_; }

    // The lines of `ipfw -d show`, sorted, one blank between their words. Parents have no time to
    // show.
    std::vector<std::string> state_lines() const;

  private:
    struct Walk;

    bool wins_chance(const Walk& walk, std::size_t index) const;
    bool tests_match(Walk& walk, std::size_t index) const;
    std::optional<SlowStates::Found> look_up_once(Walk& walk, const std::string& name);
    void count(const Walk& walk, std::size_t index);
    SlowOutcome judge(Walk& walk);
    DecodeSettings decode_settings() const;
    bool is_over(std::size_t index) const;
    std::size_t jump_target(const language::Rule& rule) const;
    std::size_t first_rule_from(unsigned number) const;
    void complain_of_calls(Walk& walk);
    bool makes_state(Walk& walk, std::size_t index);
    void write_log(Walk& walk, const language::Rule* rule, std::uint32_t limit,
                   std::uint32_t& logged);

    std::vector<language::Rule> rules_;  // the default rule last
    std::vector<SlowCounters> counters_;
    std::vector<std::uint32_t> logged_;
    std::uint32_t logged_refused_ = 0;
    packet::Environment environment_;
    contract::Sysctls sysctls_;
    Draw draw_;
    std::uint32_t disabled_sets_;
    std::uint64_t now_ms_ = 0;
    SlowStates states_;
    SlowTables tables_;
    SlowReassembly reassembly_;
    std::optional<std::uint64_t> last_complaint_s_;
    std::optional<std::uint64_t> last_call_complaint_s_;
};

}  // namespace sluice::reference
