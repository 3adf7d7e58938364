#include "controlplane/service/controller.h"

#include <sys/epoll.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "controlplane/compiler/compile.h"
#include "controlplane/service/pattern_request.h"
#include "controlplane/service/restore.h"
#include "controlplane/service/trace_request.h"

namespace sluice::service {
namespace {

using ruleset::Ruleset;

constexpr std::chrono::milliseconds kLogInterval{20};
constexpr std::chrono::seconds kLossInterval{10};
constexpr std::chrono::seconds kExpiryInterval{1};
constexpr std::size_t kMaximumWaiting = 256;

bool needs_data_plane(const Operation& operation) {
    return changes_something(operation) || std::holds_alternative<StateOperation>(operation.what) ||
           std::holds_alternative<TableOperation>(operation.what) ||
           std::holds_alternative<SafetyOperation>(operation.what) ||
           std::holds_alternative<ShowCostOperation>(operation.what) ||
           std::holds_alternative<TraceOperation>(operation.what);
}

bool asks_for_tables(const Operation& operation) {
    return std::holds_alternative<TableOperation>(operation.what);
}

bool is_cut_short(const contract::RulesetCost& cost) {
    return (cost.v4.cut_short | cost.v6.cut_short | cost.other.cut_short) != 0;
}

constexpr char kCutShort[] =
    "the rules overlap so much that finding them takes more memory than they may have: packets are "
    "looked up more slowly; `ipfw show --cost` says how long the way is";

}  // namespace

std::uint64_t wall_clock_s() {
    return static_cast<std::uint64_t>(std::time(nullptr));
}

Controller::Controller(EventLoop& loop, const ControllerOptions& options,
                       log::LogWriter& log_writer, Report report)
    : loop_(loop),
      log_writer_(log_writer),
      report_(std::move(report)),
      link_(loop, options.dataplane_socket,
            {.up =
                 [this](DataplaneGreeting greeting) {
                     on_up(std::move(greeting));
                     show();
                 },
             .down =
                 [this](const std::string& reason, bool was_up) {
                     on_down(reason, was_up);
                     show();
                 },
             .answered =
                 [this](Result<contract::Accepted> answer) {
                     on_answered(answer);
                     show();
                 },
             .states = [this](Result<StatesAnswer> answer) { on_states(answer); },
             .killed = [this](Result<std::uint64_t> answer) { on_killed(answer); },
             .rechecked = [this](Result<contract::RecheckReply> answer) { on_rechecked(answer); },
             .tables =
                 [this](Result<TableReply> answer) {
                     on_tables(std::move(answer));
                     show();
                 },
             .ordered =
                 [this](Result<Done> answer) {
                     on_ordered(answer);
                     show();
                 },
             .returned =
                 [this](const contract::Returned& returned, UniqueFd snapshot) {
                     on_returned(returned, snapshot.get());
                     show();
                 },
             .traced = [this](Result<TraceAnswer> answer) { on_traced(answer); },
             .watched = [this](Result<WatchAnswer> answer) { on_watched(std::move(answer)); },
             .patterns = [this](Result<PatternAnswer> answer) { on_patterns(answer); }}),
      clock_s_(options.clock_s),
      ruleset_(options.default_accept),
      default_accept_(options.default_accept),
      observation_(options.observation),
      size_interval_(options.size_interval),
      history_(options.history),
      disk_patience_(options.disk_patience),
      database_maker_(options.databases) {
    link_.set_answer_timeout(options.answer_timeout);
    log_writer_.show_to([this](const log::LogEntry& entry) { live_log_.take(entry); });
    if (database_maker_ != nullptr)
        loop_.watch(database_maker_->descriptor(), EPOLLIN,
                    [this](std::uint32_t) { on_compiled(); });
    if (history_ == nullptr)
        return;
    // Generations are not used twice, by whatever data plane.
    last_offered_ = history_->newest_generation();
    history_->set_entries([this] { return table_entries(); });
}

Controller::~Controller() {
    log_writer_.show_to({});
    if (database_maker_ != nullptr)
        loop_.forget(database_maker_->descriptor());
    loop_.cancel(log_timer_);
    loop_.cancel(loss_timer_);
    loop_.cancel(expiry_timer_);
    loop_.cancel(size_timer_);
    loop_.cancel(rollback_timer_);
}

void Controller::start() {
    log_timer_ = loop_.every(kLogInterval, [this] {
        drain_logs();
        tend_capture();
    });
    loss_timer_ = loop_.every(kLossInterval, [this] { report_lost_lines(); });
    expiry_timer_ = loop_.every(kExpiryInterval, [this] {
        remove_expired();
        report_left_out();
    });
    if (observation_ != nullptr)
        size_timer_ = loop_.every(size_interval_, [this] { ask_for_sizes(); });
    show();
    link_.start();
}

// ---- The data plane comes and goes -------------------------------------------------------------

void Controller::on_up(DataplaneGreeting greeting) {
    const contract::Hello& hello = greeting.hello;
    const bool restarted = hello.boot_id != boot_id_;
    boot_id_ = hello.boot_id;
    last_offered_ = std::max({last_offered_, hello.generation, hello.highest_generation});
    take_condition(hello);
    memory_ = std::move(greeting.memory);
    state_capacity_ = hello.state_capacity;
    state_buckets_ = hello.state_buckets;
    cost_ = {};
    facts_ = {.ports = greeting.interface_names,
              .state_capacity = hello.state_capacity,
              .state_memory = hello.state_memory,
              .dpdk_version = hello.dpdk_version};
    limiter_ = log::LogLimiter(memory_.annotations());
    interface_names_ = std::move(greeting.interface_names);
    entries_failed_ = false;
    // A control plane that has just started says how many were lost before it came.
    if (restarted)
        lost_lines_ = 0;

    // Those of a data plane that goes on are what it says; a fresh one gets ours.
    const auto take_tables = [&] {
        ruleset_.tables() = {};
        for (const contract::TableDescriptor& table : greeting.tables)
            ruleset_.tables().adopt(table);
        mirror_.forget();
    };
    const bool gave_back =
        greeted_ && !restarted && hello.returned_from == generation_ && hello.returned_from != 0;
    if ((!greeted_ || gave_back) && hello.generation != 0) {
        const Result<Done> adopted = adopt(hello, greeting.snapshot.get());
        if (!adopted) {
            foreign_ = adopted.error().message;
            report_("sluice-dataplane runs a ruleset that cannot be read back (" + *foreign_ +
                    "): it goes on filtering with it, and changes are refused; restart "
                    "sluice-dataplane to begin anew");
            return;
        }
        greeted_ = true;
        generation_ = hello.generation;
        take_tables();
        cost_ = hello.cost;
        report_("connected to sluice-dataplane; its ruleset of " +
                std::to_string(ruleset_.size() + 1) + " rules, generation " +
                std::to_string(generation_) + ", has been taken over");
        report_small_table();
        found_unconfirmed_ = reverts_at_.has_value();
        compare_with_history();
        // The settings may have changed since then.
        if (ruleset_.default_accept() != default_accept_ && !locked_ && !reverts_at_) {
            ruleset_.set_default_accept(default_accept_);
            push();
        }
        return next_change();
    }
    foreign_.reset();
    if (restarted)
        forget_unconfirmed();
    if (!greeted_ && history_ != nullptr && ruleset_.renumber(hello.slot_capacity)) {
        report_("connected to sluice-dataplane, which has no ruleset");
        take_tables();
        boots_below_ = UINT64_MAX;
        return boot();
    }
    if (restarted)
        give_up_unconfirmed();
    const bool in_step = greeted_ && !restarted && hello.generation == generation_;
    const bool ours = !greeted_ || restarted;
    greeted_ = true;
    if (!ours)
        take_tables();
    if (in_step) {
        cost_ = hello.cost;
        report_("connected to sluice-dataplane again, generation " + std::to_string(generation_));
        return next_change();
    }
    report_("connected to sluice-dataplane");
    report_small_table();
    // Its counters are all zero, so slots may be dealt anew; they may have become fewer, too.
    if (restarted && !ruleset_.renumber(hello.slot_capacity)) {
        foreign_ = "it has counters for " + std::to_string(hello.slot_capacity) +
                   " rules, and the ruleset needs " + std::to_string(ruleset_.size() + 2) +
                   "; set slot_capacity in sluice.toml higher";
        return report_("the ruleset cannot be given to sluice-dataplane: " + *foreign_);
    }
    if (ours && !ruleset_.tables().all().empty())
        restore_tables();
    else
        push();
}

void Controller::report_small_table() const {
    const std::uint32_t wanted = ruleset_.sysctls().dyn_max;
    if (state_capacity_ < wanted)
        report_(
            "sluice-dataplane has memory for " + std::to_string(state_capacity_) +
            " states, fewer than net.inet.ip.fw.dyn_max = " + std::to_string(wanted) +
            ": the table is full earlier; set `states` in sluice.toml higher, or dyn_max lower");
}

// The ruleset that the data plane runs becomes ours.
Result<Done> Controller::adopt(const contract::Hello& hello, int snapshot) {
    Result<Ruleset> restored = restore_from_snapshot(snapshot, hello);
    if (!restored)
        return restored.error();
    predecessor_.reset();
    restored->reserve_ids(std::max(ruleset_.next_id(), hello.next_rule_id));
    ruleset_ = std::move(*restored);
    return Done{};
}

void Controller::on_down(const std::string& reason, bool was_up) {
    report_(reason + (was_up ? "; rules cannot be changed until it is back" : ""));
    drain_logs();
    // The counters of a data plane that is gone mean nothing any more.
    memory_ = SharedMemory();
    limiter_ = log::LogLimiter();
    left_out_by_workers_ = 0;
    state_capacity_ = state_buckets_ = 0;
    sizing_.reset();
    table_sizes_.clear();
    const auto refuse = [&](const Reply& reply, const char* moment) {
        if (reply)
            reply(refused({ExitStatus::unavailable, reason + moment}));
    };
    if (pending_) {
        tell_applied(metrics::Tally::Outcome::failed);
        refuse(std::exchange(pending_, std::nullopt)->reply,
               " while it took the new ruleset over: nothing was changed");
    }
    reverts_at_.reset();
    panic_ = contract::Panic::off;
    if (ordering_)
        refuse(std::exchange(ordering_, std::nullopt)->reply, " while it was given an order");
    if (asking_)
        refuse(std::exchange(asking_, std::nullopt)->reply,
               " while it was asked for its states: nothing was changed");
    if (tracing_)
        refuse(std::exchange(tracing_, std::nullopt)->reply, " while it was asked for a trace");
    if (counting_)
        refuse(std::exchange(counting_, std::nullopt)->reply, " while it was asked about patterns");
    if (killing_)
        refuse(std::exchange(killing_, std::nullopt)->reply, " while it killed states");
    if (tabling_)
        refuse(std::exchange(tabling_, std::nullopt)->reply, " while it changed tables");
    imaging_ = restoring_ = false;
    entries_known();
    watch_on_ = watch_asked_ = live_tracing_ = false;
    end_capture(reason);
    next_change();
}

// Gives the data plane our ruleset as it is.
void Controller::push() {
    author_ = {.user = "sluice", .did = "given to sluice-dataplane again", .whole = true};
    const Result<Done> offered = offer({.ruleset = ruleset_,
                                        .generation = 0,
                                        .clear = {},
                                        .kills = {},
                                        .results = {},
                                        .reply = {},
                                        .table_batch = {},
                                        .whole = false});
    if (!offered)
        report_("the ruleset cannot be given to sluice-dataplane: " + offered.error().message);
}

// While something else is under way the next second does it.
void Controller::remove_expired() {
    if (busy() || !link_.up() || cannot_change() || locked_ || reverts_at_)
        return;
    Ruleset without = ruleset_;
    std::vector<ruleset::RulePointer> expired = without.remove_expired(clock_s_());
    if (expired.empty())
        return;
    author_ = {.user = "sluice", .did = "rules that have expired"};
    const Result<Done> offered = offer({.ruleset = std::move(without),
                                        .generation = 0,
                                        .clear = {},
                                        .kills = {},
                                        .results = {},
                                        .reply = {},
                                        .expired = std::move(expired)});
    if (!offered)
        report_("rules that have expired cannot be removed: " + offered.error().message);
}

// ---- Requests ----------------------------------------------------------------------------------

void Controller::submit(Request request, Reply reply, Author author) {
    const bool changes = request.apply || std::any_of(request.operations.begin(),
                                                      request.operations.end(), changes_something);
    // What runs is not what we know: to show our rules would be a lie.
    if (!changes && foreign_)
        return reply(refused(*cannot_change()));
    const bool asks =
        states_wanted(request) || trace_in(request) != nullptr ||
        counted_object(request, ruleset_) != nullptr ||
        std::any_of(request.operations.begin(), request.operations.end(), asks_for_tables);
    // While a data plane gets its first ruleset there is none that could be shown.
    const bool boots = boots_below_ != 0;
    if (!changes && !(link_.up() && (asks || boots)))
        return begin({std::move(request), std::move(reply), std::move(author)});
    if (waiting_.size() >= kMaximumWaiting)
        return reply(refused({ExitStatus::unavailable, "too many changes are waiting"}));
    waiting_.push_back({std::move(request), std::move(reply), std::move(author)});
    next_change();
}

void Controller::next_change() {
    go_on_with_compiled();
    while (!asked() && !rolling_back_) {
        // What is compiled holds up what changes rules, and nothing else.
        const auto found =
            compiling_
                ? std::find_if(waiting_.begin(), waiting_.end(),
                               [](const Change& change) { return !changes_rules(change.request); })
                : waiting_.begin();
        if (found == waiting_.end())
            break;
        Change next = std::move(*found);
        waiting_.erase(found);
        if (link_.up())
            ruleset_.release_orphans([this](const ruleset::StoredRule& rule) {
                return memory_.states_of(rule.slot) == 0;
            });
        begin(std::move(next));
    }
    if (!asked() && link_.up() && !foreign_ && greeted_ &&
        (wants_entries_ || mirror_.wants_image(ruleset_.tables())))
        ask_for_image();
    tend_capture();
}

// Carries a request out, up to the first answer that has to be waited for.
void Controller::begin(Change next) {
    const auto& operations = next.request.operations;
    if (next.request.apply || std::any_of(operations.begin(), operations.end(), needs_data_plane))
        if (const std::optional<Error> reason = cannot_change())
            return next.reply(refused(*reason));
    if (const std::optional<Error> reason = forbidden(next.request))
        return next.reply(refused(*reason));
    if (!operations.empty()) {
        const auto& first = operations.front().what;
        if (const auto* safety = std::get_if<SafetyOperation>(&first)) {
            if (safety->order == SafetyOperation::Order::give_back && !reverts_at_)
                return roll_back(std::move(next), 0);
            return give_order(std::move(next));
        }
        if (std::holds_alternative<HistoryOperation>(first))
            return answer_about_history(std::move(next));
        if (const auto* rollback = std::get_if<RollbackOperation>(&first))
            return roll_back(std::move(next), rollback->number);
    }
    if (next.request.apply || std::any_of(operations.begin(), operations.end(), changes_something))
        author_ = next.author;
    if (const TraceOperation* trace = trace_in(next.request))
        return ask_for_trace(next, *trace);
    if (link_.up())
        if (const auto* object = counted_object(next.request, ruleset_))
            return ask_for_patterns(std::move(next), object->name);
    const std::optional<WantedStates> wanted = states_wanted(next.request);
    // Without a data plane there are no states; rules can be listed all the same.
    if (!wanted || !link_.up())
        return change(next.request, next.reply, {});
    if (const Result<Done> asked =
            link_.request_states(wanted->filter, wanted->wanted, kMaximumListedStates);
        !asked)
        return next.reply(refused(asked.error()));
    asking_ = std::move(next);
}

void Controller::on_states(const Result<StatesAnswer>& answer) {
    const Change next = std::move(*std::exchange(asking_, std::nullopt));
    if (answer)
        change(next.request, next.reply, *answer);
    else
        next.reply(refused({ExitStatus::unavailable, "sluice-dataplane does not tell its states: " +
                                                         answer.error().message}));
    next_change();
}

ruleset::StateFacts Controller::state_facts() const {
    const SharedMemory::StateCounts counts = memory_.state_counts();
    return {.count = static_cast<std::uint32_t>(counts.states),
            .parent_count = static_cast<std::uint32_t>(counts.parents),
            .buckets = state_buckets_,
            .capacity = state_capacity_};
}

std::optional<Error> Controller::cannot_change() const {
    if (!link_.up())
        return Error{ExitStatus::unavailable,
                     "sluice-dataplane is not running: rules can be listed but not changed, and "
                     "there are no states; start "
                     "it with `sluice-dataplane --config /etc/sluice/sluice.toml`"};
    if (foreign_)
        return Error{ExitStatus::unavailable,
                     "sluice-dataplane runs a ruleset that is not ours: " + *foreign_};
    return std::nullopt;
}

void Controller::change(const Request& request, const Reply& reply, const StatesAnswer& states) {
    Result<ScriptOutcome, ScriptError> outcome = run_script(
        request, ruleset_, [this](std::uint32_t slot) { return memory_.totals(slot); },
        // What a boot cannot have for want of memory is told, and no reason to have no rules.
        {.facts = boots_below_ == 0 ? state_facts() : ruleset::StateFacts(),
         .records = states.records,
         .count = states.count,
         .cost = cost_},
        [this](const patterns::DatabaseOrder& order) { return database_for(order); });
    compiled_.clear();
    if (outcome && !outcome->missing.empty())
        return compile_patterns(request, reply, states, std::move(outcome->missing));
    if (!outcome)
        return reply(refused(outcome.error().error, outcome.error().line));
    std::optional<ApplyReport> report;
    if (request.apply) {
        if (const std::optional<Error> reason = cannot_apply(*request.apply, *outcome))
            return reply(refused(*reason));
        report = report_of(outcome->ruleset);
    }
    if (!outcome->tables.empty())
        return change_tables(std::move(*outcome), reply, report);
    if (!outcome->changed) {
        clear(outcome->clear);
        return finish(std::move(outcome->results), std::move(outcome->kills), reply);
    }
    const Result<Done> offered =
        offer({.ruleset = std::move(outcome->ruleset),
               .generation = 0,
               .clear = std::move(outcome->clear),
               .kills = std::move(outcome->kills),
               .results = std::move(outcome->results),
               .reply = reply,
               .table_batch = {},
               .whole = request.whole,
               .revert_after = std::chrono::seconds(request.apply ? request.apply->confirm_s : 0),
               .report = report});
    if (!offered)
        reply(refused(offered.error()));
}

// ---- Tables ------------------------------------------------------------------------------------

void Controller::change_tables(ScriptOutcome outcome, const Reply& reply,
                               const std::optional<ApplyReport>& report) {
    const TableWork& work = outcome.tables;
    const bool whole = work.as_a_whole || outcome.changed;
    const auto mode = outcome.changed ? contract::TablesMode::prepare
                      : whole         ? contract::TablesMode::stop
                                      : contract::TablesMode::skip;
    std::vector<std::byte> batch = batch_bytes(work.changes(), work.values(), work.descriptors());
    if (const Result<Done> sent = link_.change_tables(batch, work.changes().size(), mode); !sent)
        return reply(refused(sent.error()));
    tabling_ = Tabling{
        .outcome = std::move(outcome), .batch = std::move(batch), .reply = reply, .report = report};
}

void Controller::on_tables(Result<TableReply> answer) {
    if (sizing_) {
        take_sizes(answer);
        return next_change();
    }
    if (std::exchange(imaging_, false)) {
        image_s_ = clock_s_();
        entries_failed_ = !answer;
        if (answer)
            mirror_.take_image(std::move(*answer));
        else
            report_("sluice-dataplane does not tell its tables: " + answer.error().message);
        entries_known();
        return next_change();
    }
    if (std::exchange(restoring_, false)) {
        if (!answer || answer->answer().failed)
            report_("the tables cannot be given back to sluice-dataplane" +
                    (answer ? std::string(": its memory for tables is used up")
                            : ": " + answer.error().message));
        return push();
    }
    Tabling work = std::move(*std::exchange(tabling_, std::nullopt));
    if (answer)
        tables_changed(std::move(work), *answer);
    else
        work.reply(refused({ExitStatus::unavailable,
                            "sluice-dataplane does not change tables: " + answer.error().message}));
    next_change();
}

void Controller::tables_changed(Tabling work, const TableReply& reply) {
    ScriptOutcome& outcome = work.outcome;
    const bool failed = reply.answer().failed;
    if (const auto failure = outcome.tables.conclude(reply.answer(), outcome.results))
        return work.reply(refused(failure->error, failure->line));
    const std::size_t changes = outcome.tables.changes().size();
    if (!outcome.changed) {
        if (!failed) {
            ruleset_.tables() = outcome.ruleset.tables();
            if (outcome.tables.changes_something()) {
                mirror_.remember(std::move(work.batch), changes);
                keep_tables();
            }
        }
        clear(outcome.clear);
        return finish(std::move(outcome.results), std::move(outcome.kills), work.reply);
    }
    if (failed)
        return work.reply(refused({ExitStatus::os, "the tables of the rule cannot be made"}));
    const Result<Done> offered = offer({.ruleset = std::move(outcome.ruleset),
                                        .generation = 0,
                                        .clear = std::move(outcome.clear),
                                        .kills = std::move(outcome.kills),
                                        .results = std::move(outcome.results),
                                        .reply = work.reply,
                                        .table_batch = std::move(work.batch),
                                        .table_changes = changes,
                                        .report = work.report});
    if (!offered)
        work.reply(refused(offered.error()));
}

// For the case that the data plane is restarted.
void Controller::ask_for_image() {
    const std::vector<std::byte> question = mirror_.question(ruleset_.tables());
    imaging_ = true;
    if (!link_.change_tables(question, mirror_.question_size(), contract::TablesMode::stop))
        imaging_ = false;
}

void Controller::restore_tables() {
    const TableMirror::Restoration restoration = mirror_.restoration(ruleset_.tables());
    restoring_ = true;
    if (const Result<Done> sent =
            link_.change_tables(restoration.batch, restoration.changes, contract::TablesMode::skip);
        !sent) {
        restoring_ = false;
        report_("the tables cannot be given back to sluice-dataplane: " + sent.error().message);
        push();
    }
}

Result<Done> Controller::offer(Pending pending) {
    offer_began_ = EventLoop::Clock::now();
    pending.generation = last_offered_ + 1;
    const Result<std::vector<std::byte>> image =
        compiler_.compile(pending.ruleset, pending.generation);
    if (!image) {
        tell_applied(metrics::Tally::Outcome::failed);
        return image.error();
    }
    // New rules begin at zero. No running rule counts in their slots, so this may be done before
    // the data plane agrees; lines that earlier owners of the slots logged are written first.
    drain_logs();
    for (const std::uint32_t slot : pending.ruleset.fresh_slots()) {
        memory_.begin_anew(slot, clock_s_());
        limiter_.rearm(slot);
    }
    last_offered_ = pending.generation;
    // Whatever becomes of the offer: states may have been made under these ids.
    ruleset_.reserve_ids(pending.ruleset.next_id());
    using Prepared = DataplaneLink::Prepared;
    const Result<Done> offered = link_.offer(
        *image, pending.generation,
        pending.table_batch.empty() ? Prepared::discard : Prepared::commit, pending.revert_after);
    if (!offered) {
        tell_applied(metrics::Tally::Outcome::failed);
        return offered.error();
    }
    pending_ = std::move(pending);
    return Done{};
}

// For the operator: once, when it begins.
void Controller::take_cost(const contract::RulesetCost& cost) {
    if (is_cut_short(cost) && !is_cut_short(cost_))
        report_(kCutShort);
    cost_ = cost;
}

// For the client.
void Controller::warn_of_cost(std::vector<OperationResult>& results) const {
    if (!results.empty())
        results.back().complaints.push_back(std::string("warning: ") + kCutShort);
}

void Controller::on_answered(const Result<contract::Accepted>& answer) {
    Pending done = std::move(*std::exchange(pending_, std::nullopt));
    using Outcome = metrics::Tally::Outcome;
    tell_applied(answer ? Outcome::applied : Outcome::failed);
    if (!answer) {
        const std::string sentence =
            "sluice-dataplane refuses the ruleset: " + answer.error().message;
        report_(sentence);
        if (done.reply)
            done.reply(refused({ExitStatus::unavailable, sentence}));
        return next_change();
    }
    generation_ = answer->generation;
    // Whoever adds to such rules one by one is not told every time.
    if (is_cut_short(answer->cost) && (done.whole || !is_cut_short(cost_)))
        warn_of_cost(done.results);
    take_cost(answer->cost);
    // Many rules may go; that takes time for which the client need not wait.
    const ruleset::Ruleset old = std::exchange(ruleset_, std::move(done.ruleset));
    if (done.revert_after.count() != 0) {
        predecessor_ = old;
        // What went may come back, with its slots.
        ruleset_.published_for_now();
        reverts_at_ = EventLoop::Clock::now() + done.revert_after;
    } else {
        ruleset_.published();
    }
    if (!done.table_batch.empty())
        mirror_.remember(std::move(done.table_batch), done.table_changes);
    // Before anything else asks the data plane: what there is to kill comes next.
    const bool kills = done.reply && !done.kills.empty();
    if (kills)
        killing_ = Killing{.orders = std::move(done.kills),
                           .results = std::move(done.results),
                           .reply = done.reply,
                           .report = done.report};
    keep_history();
    clear(done.clear);
    for (const ruleset::RulePointer& rule : done.expired)
        log_writer_.note(
            "ipfw: rule " + std::to_string(rule->rule.number) + " has expired: " + rule->text,
            clock_s_() * 1000);
    if (kills)
        begin_killing();
    else if (done.reply)
        finish(std::move(done.results), {}, done.reply, done.report);
    next_change();
}

// All but the states that are to be killed has taken effect.
void Controller::finish(std::vector<OperationResult> results, std::vector<KillOrder> kills,
                        const Reply& reply, const std::optional<ApplyReport>& report) {
    if (kills.empty()) {  // as for all requests that only read, which come in between
        Response response = ready(std::move(results));
        response.applied = report;
        return reply(response);
    }
    killing_ = Killing{.orders = std::move(kills),
                       .results = std::move(results),
                       .reply = reply,
                       .report = report};
    begin_killing();
}

void Controller::begin_killing() {
    if (const Result<Done> next = kill_next(); !next)
        std::exchange(killing_, std::nullopt)->reply(refused(next.error()));
}

// Goes on to the next filter, or, behind the last one, answers.
Result<Done> Controller::kill_next() {
    for (Killing& work = *killing_; work.order < work.orders.size(); ++work.order) {
        const KillOrder& order = work.orders[work.order];
        if (order.what == KillOrder::What::judge_anew && work.filter++ == 0)
            return link_.recheck_states();
        if (work.filter < order.filters.size())
            return link_.kill_states(order.filters[work.filter++]);
        if (order.result != KillOrder::kNoResult)
            order.conclude(work.results[order.result]);
        work.filter = 0;
    }
    Killing done = std::move(*std::exchange(killing_, std::nullopt));
    Response response = ready(std::move(done.results));
    response.applied = done.report;
    done.reply(response);
    return Done{};
}

void Controller::on_killed(const Result<std::uint64_t>& answer) {
    if (!answer)
        return go_on_killing(
            Error{ExitStatus::unavailable,
                  "sluice-dataplane does not kill states: " + answer.error().message});
    const std::size_t counted = killing_->orders[killing_->order].result;
    if (counted != KillOrder::kNoResult) {
        OperationResult& result = killing_->results[counted];
        result.state_count = result.state_count.value_or(0) + *answer;
    }
    go_on_killing(kill_next());
}

void Controller::on_rechecked(const Result<contract::RecheckReply>& answer) {
    if (!answer)
        return go_on_killing(
            Error{ExitStatus::unavailable,
                  "the rules run, but not all states have been judged anew, and the others live "
                  "on: " +
                      answer.error().message});
    if (killing_->report)
        killing_->report->states = {
            .kept = answer->kept, .moved = answer->moved, .killed = answer->killed};
    go_on_killing(kill_next());
}

// `next`: what has come of the last thing that was done.
void Controller::go_on_killing(Result<Done> next) {
    if (!next)
        std::exchange(killing_, std::nullopt)->reply(refused(next.error()));
    next_change();
}

void Controller::clear(const std::vector<ClearOrder>& orders) {
    if (orders.empty())
        return;
    drain_logs();  // what was logged before counts before
    for (const ClearOrder& order : orders) {
        if (!order.log_only)
            memory_.take_baseline(order.slot, clock_s_());
        limiter_.rearm(order.slot);
    }
}

// ---- Answers ------------------------------------------------------------------------------------

Response Controller::ready(std::vector<OperationResult> results) const {
    Response response;
    response.generation = generation_;
    response.data_plane = link_.up();
    response.results = std::move(results);
    response.condition = condition();
    return response;
}

Response Controller::refused(const Error& error, std::uint32_t line) const {
    Response response = ready({});
    response.status = error.status;
    response.message = error.message;
    response.line = line;
    return response;
}

}  // namespace sluice::service
