// The heart of sluice-controlplane: requests in, snapshots out.
//
// Purpose. Holds the ruleset that runs, and the link to the data plane that runs it. A request that
// changes something is carried out on a copy (script.h), compiled, offered, and becomes the ruleset
// only when every worker runs it; its client is answered then. One change is under way at a time,
// the others wait in order, and so do requests that need the states of the data plane, which is
// asked one thing at a time; requests that only read what we have are answered at once. A request
// may pass five stages: ask for states, compile patterns, change tables, offer, kill states.
// Tables. Their contents are the data plane's; a request that changes or shows them waits for its
// answer. What changes together with rules is prepared there and takes effect with the offer. A
// data plane that was restarted gets the contents back (table_mirror.h) before the rules.
// Start. At the first greeting the data plane may be running already: its snapshot holds numbers,
// sets, slots, limits and text of all rules, and they become ours, so that a control plane that
// crashed comes back with the same rules and the counters go on; they are compared with the newest
// of the history. If it runs nothing it gets the newest of the history, or, if there is none, the
// default rule. After that our ruleset counts: a data plane that was restarted gets it anew.
// Time. A rule whose time is over is removed within a second, by a change of our own, and the log
// says so; the data plane has stopped to match it by itself.
// Failure. No data plane: changes are refused with a sentence that says so, reads work. A data
// plane that dies in the middle of a change: the change is refused and the old ruleset is pushed
// when it is back. A request for states that dies with it is refused.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/compiler/compile.h"
#include "controlplane/log/log_writer.h"
#include "controlplane/metrics/tally.h"
#include "controlplane/metrics/view.h"
#include "controlplane/ruleset/ruleset.h"
#include "controlplane/service/capture.h"
#include "controlplane/service/database_maker.h"
#include "controlplane/service/dataplane_link.h"
#include "controlplane/service/history_keeper.h"
#include "controlplane/service/live_log.h"
#include "controlplane/service/protocol.h"
#include "controlplane/service/script.h"
#include "controlplane/service/table_mirror.h"

namespace sluice::service {

std::uint64_t wall_clock_s();

// What the metrics are made of.
struct Observation {
    metrics::Board board;
    metrics::Tally tally;
};

struct ControllerOptions {
    std::string dataplane_socket;
    bool default_accept = false;
    std::chrono::milliseconds answer_timeout{10'000};  // for an offer
    std::uint64_t (*clock_s)() = wall_clock_s;       // since 1970; tests have a clock of their own
    std::chrono::milliseconds size_interval{5'000};  // how often tables are asked for their sizes
    Observation* observation = nullptr;              // outlives the controller; none: nobody looks
    std::chrono::milliseconds disk_patience{
        5'000};                          // of a rollback that needs to know what was last
    HistoryKeeper* history = nullptr;    // the same; none: nothing is kept
    DatabaseMaker* databases = nullptr;  // the same; none: patterns are compiled while all wait
};

class Controller {
  public:
    using Reply = std::function<void(const Response&)>;
    // For the operator: what happens with the data plane.
    using Report = std::function<void(const std::string& sentence)>;

    Controller(EventLoop& loop, const ControllerOptions& options, log::LogWriter& log_writer,
               Report report);
    ~Controller();
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;

    void start();
    void submit(Request request, Reply reply, Author author = {});
    // Answers, and then sends what is asked for until the client goes.
    void follow(const FollowOperation& operation, std::shared_ptr<Stream> stream,
                const Reply& reply);
    void drain_logs();
    // The answer to a request that somebody else has carried out.
    Response told(std::vector<std::string> lines) const;

    std::uint64_t generation() const { return generation_; }
    const ruleset::Ruleset& ruleset() const { return ruleset_; }

  private:
    struct Change {
        Request request;
        Reply reply;
        Author author = {};
    };
    // What was offered and is not answered yet. Without a reply: our own push.
    struct Pending {
        ruleset::Ruleset ruleset;
        std::uint64_t generation = 0;
        std::vector<ClearOrder> clear;
        std::vector<KillOrder> kills;
        std::vector<OperationResult> results;
        Reply reply;
        std::vector<ruleset::RulePointer> expired = {};  // that this removes
        // Of tables, prepared; empty: nothing of them changes.
        std::vector<std::byte> table_batch = {};
        std::size_t table_changes = 0;
        bool whole = false;  // as in Request
        std::chrono::milliseconds revert_after{0};
        std::optional<ApplyReport> report = {};
    };
    // A script whose changes to tables are being made, or prepared.
    struct Tabling {
        ScriptOutcome outcome;
        std::vector<std::byte> batch;
        Reply reply;
        std::optional<ApplyReport> report = {};
    };
    // A script whose patterns are being compiled; it is run when they are.
    struct Compiling {
        Request request;
        Reply reply;
        StatesAnswer states;
        std::vector<std::uint64_t> contents;  // of what is compiled, in its order
        bool done = false;
    };
    // What has taken effect, but for the states that are being killed, or judged anew.
    struct Killing {
        std::vector<KillOrder> orders;
        std::vector<OperationResult> results;
        Reply reply;
        std::optional<ApplyReport> report = {};
        std::size_t order = 0;
        std::size_t filter = 0;  // of the order: what is killed next
    };

    void on_up(DataplaneGreeting greeting);
    void on_down(const std::string& reason, bool was_up);
    void on_answered(const Result<contract::Accepted>& answer);
    Result<Done> adopt(const contract::Hello& hello, int snapshot);
    void push();
    void remove_expired();
    void restore_tables();
    void change_tables(ScriptOutcome outcome, const Reply& reply,
                       const std::optional<ApplyReport>& report);
    void on_tables(Result<TableReply> answer);
    void tables_changed(Tabling work, const TableReply& reply);
    void ask_for_image();
    void on_states(const Result<StatesAnswer>& answer);
    void ask_for_trace(Change next, const TraceOperation& operation);
    void on_traced(const Result<TraceAnswer>& answer);
    void ask_for_patterns(Change next, const std::string& object);
    void on_patterns(const Result<PatternAnswer>& answer);
    // controller_live.cc: the client that watches packets
    void begin_capture(const FollowOperation& operation, std::shared_ptr<Stream> stream,
                       const Reply& reply);
    void tend_capture();
    void trace_next();
    void on_watched(Result<WatchAnswer> answer);
    void end_capture(const std::string& reason);
    void on_killed(const Result<std::uint64_t>& answer);
    void on_rechecked(const Result<contract::RecheckReply>& answer);
    void go_on_killing(Result<Done> next);
    bool busy() const { return asked() || rolling_back_ || compiling_; }
    // The data plane owes an answer.
    bool asked() const {
        return pending_ || ordering_ || asking_ || killing_ || tabling_ || imaging_ || restoring_ ||
               sizing_ || tracing_ || counting_ || watch_asked_ || live_tracing_;
    }
    void next_change();
    void begin(Change next);
    void change(const Request& request, const Reply& reply, const StatesAnswer& states);
    // controller_patterns.cc: what takes long to compile
    DatabaseMaker::Made database_for(const patterns::DatabaseOrder& order) const;
    void compile_patterns(const Request& request, const Reply& reply, const StatesAnswer& states,
                          std::vector<patterns::DatabaseOrder> orders);
    void on_compiled();
    void go_on_with_compiled();
    static bool changes_rules(const Request& request);
    Result<Done> offer(Pending pending);
    void finish(std::vector<OperationResult> results, std::vector<KillOrder> kills,
                const Reply& reply, const std::optional<ApplyReport>& report = {});
    void begin_killing();
    Result<Done> kill_next();
    ruleset::StateFacts state_facts() const;
    void take_cost(const contract::RulesetCost& cost);
    void warn_of_cost(std::vector<OperationResult>& results) const;
    void report_small_table() const;
    void clear(const std::vector<ClearOrder>& orders);
    std::uint64_t lost_in_rings();
    void report_lost_lines();
    void report_left_out();
    void show() const;
    void tell_applied(metrics::Tally::Outcome outcome);
    void ask_for_sizes();
    void take_sizes(const Result<TableReply>& answer);
    // controller_safety.cc: what holds beside the rules
    void take_condition(const contract::Hello& hello);
    Condition condition() const;
    std::optional<Error> forbidden(const Request& request) const;
    std::optional<Error> cannot_apply(const ApplyOrder& order, const ScriptOutcome& outcome) const;
    ApplyReport report_of(const ruleset::Ruleset& next) const;
    void give_order(Change next);
    void on_ordered(const Result<Done>& answer);
    void give_up_unconfirmed();
    // controller_history.cc: what was accepted, and what comes back
    void boot();
    void booted(const history::Entry& entry, const Response& response);
    void compare_with_history();
    void forget_unconfirmed();
    void keep_history();
    void keep_tables();
    void answer_about_history(Change next);
    void answer_history(const Change& next, const HistoryOperation& operation,
                        const Result<Done>& written);
    void roll_back(Change next, std::uint64_t number);
    void bring_back(Change next, std::uint64_t number);
    bool knows_entries() const;
    std::optional<ruleset::EntryWriter> table_entries();
    void entries_known();
    void on_returned(const contract::Returned& returned, int snapshot);

    Response ready(std::vector<OperationResult> results) const;
    Response refused(const Error& error, std::uint32_t line = 0) const;
    std::optional<Error> cannot_change() const;

    EventLoop& loop_;
    log::LogWriter& log_writer_;
    LiveLog live_log_;
    std::optional<Capture> capture_;
    Reply capture_reply_;        // until the data plane has begun
    bool watch_on_ = false;      // in the data plane, as far as we know
    bool watch_asked_ = false;   // an order has not been answered
    bool live_tracing_ = false;  // a trace of a captured packet has been asked for
    Report report_;
    DataplaneLink link_;
    EventLoop::TimerId log_timer_ = 0;
    EventLoop::TimerId loss_timer_ = 0;
    EventLoop::TimerId expiry_timer_ = 0;
    EventLoop::TimerId size_timer_ = 0;
    std::uint64_t left_out_by_workers_ = 0;  // as far as reported
    EventLoop::TimerId rollback_timer_ = 0;
    std::uint64_t lost_lines_ = 0;  // that the log rings had no room for, as far as reported

    std::uint64_t (*clock_s_)();
    ruleset::Ruleset ruleset_;
    compiler::Compiler compiler_;
    bool default_accept_;           // from the settings
    std::uint64_t generation_ = 0;  // that runs; 0: none yet
    contract::RulesetCost cost_;    // of that generation; meaningful while the link is up
    std::uint64_t last_offered_ = 0;
    bool greeted_ = false;  // the ruleset is the data plane's, or was given to it once
    std::optional<std::string> foreign_;  // why the running snapshot could not be read back
    std::uint64_t boot_id_ = 0;

    Observation* observation_;
    std::chrono::milliseconds size_interval_;
    EventLoop::Clock::time_point offer_began_;
    metrics::DataplaneFacts facts_;  // meaningful while the link is up
    std::vector<metrics::TableSize> table_sizes_;
    // The tables of which the sizes have been asked for; for the metrics.
    std::optional<std::vector<contract::TableDescriptor>> sizing_;

    SharedMemory memory_;
    log::LogLimiter limiter_;
    std::vector<std::string> interface_names_;
    std::uint32_t state_capacity_ = 0;  // of the data plane
    std::uint32_t state_buckets_ = 0;
    std::optional<Pending> pending_;
    std::optional<Change> asking_;    // its states have been asked for
    std::optional<Change> ordering_;  // a SafetyOperation
    contract::Panic panic_ = contract::Panic::off;
    bool locked_ = false;
    std::uint32_t slot_capacity_ = 0;  // of the data plane
    // The ruleset that runs goes back then, unless it is confirmed.
    std::optional<EventLoop::Clock::time_point> reverts_at_;
    // What ran before it: a data plane that is restarted meanwhile gets that.
    std::optional<ruleset::Ruleset> predecessor_;
    std::optional<Killing> killing_;
    std::optional<Change> tracing_;   // a trace has been asked for
    std::optional<Change> counting_;  // its pattern object has been asked about
    std::optional<Tabling> tabling_;
    bool imaging_ = false;    // the contents of all tables have been asked for
    bool restoring_ = false;  // they are being given to a data plane that has just started
    TableMirror mirror_;

    HistoryKeeper* history_;
    std::chrono::milliseconds disk_patience_;
    DatabaseMaker* database_maker_;
    std::optional<Compiling> compiling_;
    // What was compiled for the script that is run now, by content.
    std::map<std::uint64_t, DatabaseMaker::Made> compiled_;
    Author author_;                      // of the change that is under way
    std::optional<Author> unconfirmed_;  // of the ruleset that waits for its confirmation
    std::uint64_t boots_below_ = 0;      // while a data plane gets its first ruleset; else 0
    bool went_back_ = false;             // the data plane, unasked; nothing was changed since
    bool found_unconfirmed_ = false;     // the ruleset was read back while it waited
    bool rolling_back_ = false;          // what is due is being written first
    bool wants_entries_ = false;         // of the tables, for the history
    bool entries_failed_ = false;        // the data plane does not tell them
    std::uint64_t image_s_ = 0;          // when it did
    std::vector<Change> texts_;          // that are asked for
    std::deque<Change> waiting_;
};

}  // namespace sluice::service
