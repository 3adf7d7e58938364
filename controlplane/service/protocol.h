// What `ipfw` and the control plane say to each other on the control socket.
//
// A message is its length (4 bytes, little endian, without themselves) and that many bytes of JSON.
// Rules would be most of a long request and make reading it slow, so their text stands behind the
// JSON, as it is: a zero byte, then the rules of all operations that add some.
// A request is a script: operations that take effect together. With `whole` (a rule file) any
// failing operation makes the script fail and nothing changes; without it (a single command) an
// operation may do a part and say so in its status, as `ipfw delete 100 200` does when there is no
// rule 200. Rules travel as canonical text: the control plane trusts no client's parser.
//
// Decoding is total: whatever the bytes are, the result is a value or a sentence. Depth and size
// are limited before the JSON library sees a message.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/result.h"
#include "controlplane/history/entry.h"
#include "controlplane/language/command.h"
#include "controlplane/language/names.h"
#include "controlplane/ruleset/listing.h"
#include "controlplane/ruleset/ruleset_difference.h"
#include "controlplane/service/follow.h"
#include "dataplane/contract/message.h"

namespace sluice::service {

inline constexpr int kProtocolVersion = 5;
inline constexpr std::size_t kMaximumMessageSize = std::size_t{64} << 20;
inline constexpr char kDefaultControlSocket[] = "/run/sluice/control.sock";
inline constexpr char kControlSocketVariable[] = "SLUICE_CONTROL_SOCKET";

// ---- Operations --------------------------------------------------------------------------------

struct AddOperation {
    // What follows `add`: `100 set 2 allow ip from any to any`. Of a rule file, all rules that
    // stand together: the first in the line of the operation, each further one as many lines below
    // as there are line feeds between them.
    std::string rules;
    bool operator==(const AddOperation&) const = default;
};

enum class ListedStates : std::uint8_t {
    none,
    current,
    expired_too,  // -e: those whose time is up and which nobody has collected yet
};

struct ListOperation {
    std::vector<language::RuleRange> rules;  // empty: all
    std::optional<std::uint8_t> in_set;
    ListedStates states = ListedStates::none;  // -d
    bool without_rules = false;                // -D
    bool with_since = false;                   // when the counters of each rule began
    bool operator==(const ListOperation&) const = default;
};

struct ShowSetsOperation {
    bool operator==(const ShowSetsOperation&) const = default;
};

// What the running rules cost a packet: alone in a request, with the data plane there.
struct ShowCostOperation {
    bool operator==(const ShowCostOperation&) const = default;
};

// The way of a packet through the running rules: alone in a request, with the data plane there.
struct TraceOperation {
    std::string packet;  // as in language/packet_text.h
    contract::ChanceIs chance = contract::ChanceIs::match;
    bool operator==(const TraceOperation&) const = default;
};

// How everything is, as the status page has it: alone in a request. The line of the result is JSON,
// `sluice/status/1`.
struct StatusOperation {
    bool operator==(const StatusOperation&) const = default;
};

// Which states are meant: all that is given must hold.
struct StateFilter {
    std::optional<language::HostAddress> address;  // of either end
    std::uint8_t prefix_length = 0;                // of address
    std::optional<std::uint8_t> protocol;
    std::uint16_t port = 0;  // of either end; 0: any
    std::optional<language::RuleRange> rules;
    std::string name;                 // of the states; empty: any
    std::uint32_t minimum_age_s = 0;  // since the state was made
    bool operator==(const StateFilter&) const = default;
};

// To list and to count stand alone in a request: the data plane picks the states. Their filter
// names one rule at most.
struct StateOperation {
    enum class Kind : std::uint8_t { list, count, kill } kind = Kind::list;
    StateFilter filter;
    bool operator==(const StateOperation&) const = default;
};

// The rulesets that were accepted, and the one that runs: alone in a request.
struct HistoryOperation {
    enum class Kind : std::uint8_t {
        list,     // all that there are
        show,     // the text of one
        running,  // the text of what runs
        save,     // what runs is written, and the answer comes when it is there
    } kind = Kind::list;
    std::uint64_t number = 0;  // show
    bool operator==(const HistoryOperation&) const = default;
};

// A ruleset of the history becomes the ruleset: alone, in a request that is an apply.
struct RollbackOperation {
    std::uint64_t number = 0;
    bool operator==(const RollbackOperation&) const = default;
};

// What the data plane does by itself, whatever the rules are; alone in a request.
struct SafetyOperation {
    enum class Order : std::uint8_t {
        confirm,     // the ruleset that waits for it stays
        give_back,   // that ruleset goes at once; if none waits, the one before comes back
        lock,        // nothing is changed any more until the data plane is restarted
        panic_deny,  // all is dropped
        panic_pass,  // all passes
        panic_off,   // the rules decide
    } order = Order::confirm;
    bool operator==(const SafetyOperation&) const = default;
};

struct ReadSysctlOperation {
    std::vector<std::string> names;  // empty: all
    bool operator==(const ReadSysctlOperation&) const = default;
};

struct WriteSysctlOperation {
    std::string name;
    std::string value;
    bool operator==(const WriteSysctlOperation&) const = default;
};

// Contents are the data plane's: it is asked. Keys and values travel as they were given.
struct TableOperation {
    language::TableCommand command;
    bool quiet = false;                // -q: what is there is updated, what is not there is fine
    bool counters = false;             // -a: list says how often each entry was found
    bool values_as_addresses = false;  // -i
    // Of each record in the rule file; empty: all have the line of the operation.
    std::vector<std::uint32_t> lines = {};
    bool operator==(const TableOperation&) const = default;
};

// Patterns travel as they were typed.
struct PatternOperation {
    language::PatternCommand command;
    bool quiet = false;  // -q: what is there gets the value, what is not there is fine
    // Of each pattern in the rule file; empty: all have the line of the operation.
    std::vector<std::uint32_t> lines = {};
    bool operator==(const PatternOperation&) const = default;
};

struct Operation {
    std::uint32_t line = 0;  // of the rule file, 0: none
    bool forgive = false;    // -f or -q: a target that is not there is no failure
    std::variant<AddOperation, language::DeleteCommand, language::FlushCommand,
                 language::ZeroCommand, language::SetEnableCommand, language::SetMoveCommand,
                 language::SetSwapCommand, ListOperation, ShowSetsOperation, ShowCostOperation,
                 TraceOperation, ReadSysctlOperation, WriteSysctlOperation, StateOperation,
                 TableOperation, PatternOperation, SafetyOperation, FollowOperation,
                 StatusOperation, HistoryOperation, RollbackOperation>
        what;
    bool operator==(const Operation&) const = default;
};

// What becomes of the states whose rule is not there any more.
enum class KeptStates : std::uint8_t {
    of_rules,  // they end, unless net.inet.ip.fw.dyn_keep_states is 1: as in ipfw
    all,       // they live on
    none,      // and all others end, too
    // Those live on that the new rules would make again, under the rule that would, and no others.
    judged_anew,
};

// How long a ruleset may wait for `ipfw confirm`.
inline constexpr std::chrono::seconds kLongestConfirm{24 * 3600};

// The script makes the whole ruleset: no rule is there when it begins, in no set, and all sets are
// enabled.
struct ApplyOrder {
    std::optional<std::uint64_t> if_generation;  // refused if another one runs
    std::uint32_t confirm_s = 0;  // it goes back unless confirmed in time; 0: it stays
    KeptStates states = KeptStates::of_rules;
    bool operator==(const ApplyOrder&) const = default;
};

struct Request {
    bool whole = false;
    bool brief = false;  // rules that are added need not be told in the results
    std::vector<Operation> operations;
    std::optional<ApplyOrder> apply = {};
    std::string source = {};  // the rule file, in the words of the client; for the history
    bool operator==(const Request&) const = default;
};

// How much of the name of a rule file is told, and taken, which may be longer: bytes that are no
// UTF-8 have become others on the way.
inline constexpr std::size_t kLongestSource = 256;
inline constexpr std::size_t kLongestSourceTaken = 4 * kLongestSource;

// False: the operation only reads.
bool changes_something(const Operation& operation);

// Whether the data plane has to be asked for its states before the operation can be carried out.
bool asks_for_states(const Operation& operation);

// ---- Answers -----------------------------------------------------------------------------------

struct SysctlReport {
    std::string name;
    std::uint32_t value = 0;
    std::optional<std::uint32_t> previous;  // after a write
    bool operator==(const SysctlReport&) const = default;
};

struct ListedPattern {
    std::string text;
    std::uint32_t value = 0;
    std::optional<std::uint64_t> hits;  // show
    bool operator==(const ListedPattern&) const = default;
};

// What the data plane tells of an object.
struct RunningPatterns {
    std::uint64_t database_bytes = 0;
    std::uint64_t scratch_bytes = 0;  // of all workers
    std::uint64_t stream_bytes = 0;   // of one side of one flow
    std::uint64_t streams = 0;
    bool operator==(const RunningPatterns&) const = default;
};

struct ListedPatternObject {
    std::string name;
    std::string settings;  // as they are typed
    std::uint64_t references = 0;
    std::uint64_t items = 0;
    std::uint64_t database_bytes = 0;
    std::vector<ListedPattern> patterns;  // list, show
    std::optional<RunningPatterns> running;
    bool operator==(const ListedPatternObject&) const = default;
};

struct OperationResult {
    ExitStatus status = ExitStatus::ok;
    std::vector<std::string> lines;          // for standard output, not with -q
    std::vector<std::string> complaints;     // for standard error, not with -q
    std::vector<ruleset::ListedRule> rules;  // list; add: the new rule
    std::vector<SysctlReport> sysctls;
    std::vector<ruleset::ListedState> states;    // list
    std::optional<std::uint64_t> state_count;    // counted or killed, without parents
    std::optional<std::uint32_t> disabled_sets;  // ShowSetsOperation; bit N: set N
    std::optional<contract::RulesetCost> cost;   // ShowCostOperation
    std::vector<history::Entry> history;         // HistoryOperation: list, save
    std::vector<ListedPatternObject> pattern_objects;
    bool operator==(const OperationResult&) const = default;
};

// What became of the states that were judged anew.
struct JudgedStates {
    std::uint64_t kept = 0;
    std::uint64_t moved = 0;  // to another rule
    std::uint64_t killed = 0;
    bool operator==(const JudgedStates&) const = default;
};

// What an apply has done.
struct ApplyReport {
    std::uint64_t generation_before = 0;
    ruleset::DifferenceCounts difference;
    std::optional<JudgedStates> states = {};  // KeptStates::judged_anew
    bool operator==(const ApplyReport&) const = default;
};

// What holds beside the rules.
struct Condition {
    contract::Panic panic = contract::Panic::off;
    bool locked = false;
    std::uint32_t confirm_ms = 0;  // left for `ipfw confirm`; 0: nothing waits for it
    bool operator==(const Condition&) const = default;
};

struct Response {
    ExitStatus status = ExitStatus::ok;    // anything else: nothing was changed
    std::string message;                   // then: why
    std::uint32_t line = 0;                // then: of the failing operation
    std::uint64_t generation = 0;          // that the data plane runs
    bool data_plane = false;               // it is there; without it counters are shown as 0
    std::vector<OperationResult> results;  // one per operation
    std::optional<ApplyReport> applied = {};
    Condition condition = {};
    bool operator==(const Response&) const = default;
};

// An answer without results.
Response refusal(const Error& error);

// ---- Bytes -------------------------------------------------------------------------------------

std::string encode(const Request& request);
std::string encode(const Response& response);
Result<Request> decode_request(std::string_view json);
Result<Response> decode_response(std::string_view json);

// The message with its length in front. REQUIRES: json.size() <= kMaximumMessageSize.
std::string framed(std::string_view json);

// Collects bytes until a message is complete. Memory grows with what has arrived, not with what a
// length promises.
class FrameReader {
  public:
    void append(std::string_view bytes) { buffer_.append(bytes); }

    // A complete message, none yet, or an error: the length is not one that we take.
    Result<std::optional<std::string>> next(std::size_t maximum = kMaximumMessageSize);

    bool empty() const { return buffer_.empty(); }
    std::size_t size() const { return buffer_.size(); }

  private:
    std::string buffer_;
};

}  // namespace sluice::service
