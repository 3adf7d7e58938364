// A whole command: the words after `ipfw`, or a line of a rule file, as a value.
//
// Flags are read as getopt(3) would, from the front. The commands `apply`, `check`, `replay` and
// the other additions of ours that are no ipfw(8) commands do not come here; the CLI looks for
// them first. Nothing is carried out and no file is opened here. A command that is part of ipfw but
// that the appliance does not have (pipe, nat, …) is a NotSupportedCommand, not a syntax error:
// the caller refuses it with its message and exit status 69, or only warns under `-n`.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "controlplane/language/model.h"
#include "controlplane/language/names.h"
#include "controlplane/language/parse_error.h"
#include "controlplane/language/pattern_command.h"
#include "controlplane/language/rule_parser.h"
#include "controlplane/language/table_command.h"
#include "controlplane/language/words.h"

namespace sluice::language {

struct Flags {
    bool counters = false;                 // -a, and the command `show`
    bool action_and_comment_only = false;  // -b, implies -c
    bool compact = false;                  // -c
    bool dynamic = false;                  // -d, and -D
    bool dynamic_only = false;             // -D
    bool expired = false;                  // -e
    bool force = false;                    // -f, and -q
    bool help = false;                     // -h
    bool values_as_addresses = false;      // -i
    bool test_only = false;                // -n
    bool resolve_names = false;            // -N
    bool quiet = false;                    // -q
    std::optional<int> sort_field = {};    // -s [field], -4…4
    bool sets = false;                     // -S
    bool timestamps = false;               // -t
    bool raw_timestamps = false;           // -T
    bool verbose = false;                  // -v
    bool operator==(const Flags&) const = default;
};

// Inclusive; both ends are rule numbers 0…65535.
struct RuleRange {
    std::uint16_t first = 0;
    std::uint16_t last = 0;
    bool operator==(const RuleRange&) const = default;
};

struct AddCommand {
    Rule rule;  // number 0: automatic
    bool operator==(const AddCommand&) const = default;
};

struct DeleteCommand {
    std::vector<RuleRange> rules;        // `delete 100 200-300`
    std::vector<std::uint8_t> sets;      // `delete set 5`
    std::optional<std::uint8_t> in_set;  // `set 5 delete 100`
    bool operator==(const DeleteCommand&) const = default;
};

struct FlushCommand {
    std::optional<std::uint8_t> in_set;  // `set 5 flush`
    bool operator==(const FlushCommand&) const = default;
};

// list, show (which sets Flags::counters) and print.
struct ListCommand {
    // What is not a rule number is kept: it is complained about (`invalid rule number: x`, exit 64)
    // while the others are still listed.
    struct Target {
        std::optional<RuleRange> range;
        std::string text;
        bool operator==(const Target&) const = default;
    };
    std::vector<Target> targets;  // empty: all
    std::optional<std::uint8_t> in_set;
    bool operator==(const ListCommand&) const = default;
};

struct ZeroCommand {
    std::vector<std::uint16_t> rules;  // empty: all
    std::optional<std::uint8_t> in_set;
    bool log_only = false;  // resetlog
    bool operator==(const ZeroCommand&) const = default;
};

struct SetShowCommand {
    bool operator==(const SetShowCommand&) const = default;
};

// Bit N stands for set N; both masks are applied at once and are disjoint.
struct SetEnableCommand {
    std::uint32_t enable = 0;
    std::uint32_t disable = 0;
    bool operator==(const SetEnableCommand&) const = default;
};

// `set move A to B`, `set move rule N to B`
struct SetMoveCommand {
    bool by_rule = false;
    std::uint16_t what = 0;  // a set, or a rule number
    std::uint8_t to = 0;
    bool operator==(const SetMoveCommand&) const = default;
};

struct SetSwapCommand {
    std::uint8_t first = 0;
    std::uint8_t second = 0;
    bool operator==(const SetSwapCommand&) const = default;
};

// `enable verbose` and so on: writes the sysctl.
struct SwitchCommand {
    std::string sysctl;  // `net.inet.ip.fw.verbose`; empty: unknown word, already warned about
    bool on = false;
    bool operator==(const SwitchCommand&) const = default;
};

// `sysctl [-a] [-n] [-w] NAME[=VALUE]…`
struct SysctlCommand {
    struct Item {
        std::string name;
        std::optional<std::string> value;  // none: read
        bool operator==(const Item&) const = default;
    };
    bool all = false;
    bool values_only = false;  // -n after `sysctl`
    std::vector<Item> items;
    bool operator==(const SysctlCommand&) const = default;
};

// `ipfw [-p preproc [args]] /path`
struct FileCommand {
    std::string path;
    std::string preprocessor;                         // empty: none
    std::vector<std::string> preprocessor_arguments;  // -D, -U and whatever else was given
    bool operator==(const FileCommand&) const = default;
};

// `ipfw -h` and `ipfw help`
struct HelpCommand {
    bool operator==(const HelpCommand&) const = default;
};

// Part of ipfw, not of this appliance (yet). Exit 69 with `not supported yet: WHAT`, or, if it has
// no meaning here, `cannot be carried out: WHAT: REASON`.
struct NotSupportedCommand {
    std::string what;
    std::string reason = {};
    Error error() const {
        return {ExitStatus::unavailable, reason.empty()
                                             ? "not supported yet: " + what
                                             : "cannot be carried out: " + what + ": " + reason};
    }
    bool operator==(const NotSupportedCommand&) const = default;
};

using Command =
    std::variant<HelpCommand, AddCommand, DeleteCommand, FlushCommand, ListCommand, ZeroCommand,
                 SetShowCommand, SetEnableCommand, SetMoveCommand, SetSwapCommand, SwitchCommand,
                 TableCommand, PatternCommand, SysctlCommand, FileCommand, NotSupportedCommand>;

struct Invocation {
    Flags flags;
    Command command;
    // For the operator, on stderr: abbreviations, impossible rules, unknown words of `enable`.
    std::vector<std::string> warnings;
};

// The arguments of the command line, without argv[0]. An absolute path as the last argument is a
// FileCommand. A single argument is split at blanks.
Result<Invocation, ParseError> parse_command_line(std::span<const std::string> arguments,
                                                  const NameResolver& resolver);

// A line of a rule file, cut into words. No file command here. REQUIRES: words is not empty.
Result<Invocation, ParseError> parse_command(std::span<const Word> words,
                                             const NameResolver& resolver);

}  // namespace sluice::language
